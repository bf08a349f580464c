/*
 * url.h: parses the endpoints of a client's requests. Pure. For the client's own files; client.h
 * has what callers need.
 */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "world/address.h"

#include <stdbool.h>
#include <stdint.h>

/* A name in the DNS has at most 253 characters. */
#define HTTP_HOST_MAX      253
/* "http://" and a host with its port, or a Unix path. */
#define HTTP_AUTHORITY_MAX (HTTP_HOST_MAX + 8)
#define HTTP_ORIGIN_MAX    (HTTP_AUTHORITY_MAX + 16)

struct http_endpoint {
    char text[HTTP_ORIGIN_MAX];         /* canonical: the key of an origin */
    char authority[HTTP_AUTHORITY_MAX]; /* the value of Host */
    char host[HTTP_HOST_MAX + 1];       /* a name to be resolved; "": use `address` */
    uint16_t port;
    struct address address;
};

/* "http://127.0.0.1:9001", "http://name", "http://[::1]:80" or "http://unix:/run/x.sock": 0, or
 * -EINVAL with a sentence. */
int http_endpoint_parse(struct http_endpoint *p, struct span text, struct error *e)
    __attribute__((warn_unused_result));
