/*
 * problem.h: problem+json (RFC 9457): how an error looks to who asked over HTTP.
 *
 *     {"type":"urn:weir:problem:overloaded","title":"Service Unavailable","status":503,
 *      "detail":"the predicted wait passes the deadline","instance":"urn:weir:request:4f2a"}
 *
 * Pure. A type of Weir's own is a short stable name ("overloaded"), written as a URN: a name that
 * can be compared, and promises no page. Reading takes any problem: what it does not know, and
 * members of a wrong type, are ignored, as the RFC says; a type that is missing is "about:blank",
 * which says no more than the status.
 */
#pragma once

#include "base/bytes.h"
#include "base/error.h"

#define PROBLEM_MEDIA_TYPE   "application/problem+json"
#define PROBLEM_URN          "urn:weir:problem:"
#define PROBLEM_REQUEST_URN  "urn:weir:request:"
#define PROBLEM_TYPE_MAX     256
#define PROBLEM_TITLE_MAX    256
#define PROBLEM_DETAIL_MAX   1024
#define PROBLEM_INSTANCE_MAX 256

/* All text is UTF-8 and ends with a zero byte; "" is a member that is not there. */
struct problem {
    int status;                  /* 100 to 599; 0: not there */
    char type[PROBLEM_TYPE_MAX]; /* a whole URI reference, or one of Weir's short names */
    char title[PROBLEM_TITLE_MAX];
    char detail[PROBLEM_DETAIL_MAX];
    char instance[PROBLEM_INSTANCE_MAX]; /* a whole URI reference, or a request's id */
};

/* What an operating error looks like: its type and sentence, and the status that says best what its
 * code means. `request` is the request's id, or "". */
void problem_from_error(struct problem *p, const struct error *e, const char *request);

/* Appends the JSON text: 0, -ENOMEM or -ENOBUFS, and then `out` is as it was. */
int problem_encode(const struct problem *p, struct bytes *out) __attribute__((warn_unused_result));

/* Reads one. A title or detail that is too long is cut at a character, a type or instance that is
 * too long is taken for missing: cut, it would name something else. -EINVAL or -EMSGSIZE if it is
 * no JSON object, and `e`, which may be NULL, says where; -ENOMEM. */
int problem_decode(struct problem *p, struct span text, struct error *e)
    __attribute__((warn_unused_result));

/* The HTTP status for a negative errno: 500 for those that are not a caller's affair. */
int problem_status(int code);
/* "Not Found" for 404; "" for a status without a name. */
const char *problem_title(int status);
