/*
 * address.h: where a socket is: an IPv4 or IPv6 address with a port, or a Unix path. Pure: parsing
 * and printing only.
 *
 *     127.0.0.1:8080    [::1]:8080    *:8080    unix:/run/weir.sock    unix:@abstract
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct error;

struct address {
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un local;
    };
};

/* Long enough for any address in text, its end included. */
#define ADDRESS_TEXT_MAX 128

/* 0, or -EINVAL with a sentence in `e` (which may be NULL) that says what was found and what was
 * expected. */
int address_parse(struct address *a, const char *text, struct error *e);
/* Writes the text that address_parse reads back; returns `text`. */
const char *address_print(const struct address *a, char text[ADDRESS_TEXT_MAX]);

/* Whether it is no address but a host's name with a port, "localhost:8080", which are told: to be
 * resolved. */
#define ADDRESS_NAME_MAX 100
bool address_is_name(const char *text, char name[ADDRESS_NAME_MAX + 1], uint16_t *port);

int address_port(const struct address *a); /* -1 for a Unix path */
void address_set_port(struct address *a, uint16_t port);
