/*
 * conn.h: connections, below the handles that processes have for their ends (stream.c, listener.c).
 *
 * A connection is two ends. Each end has a *pipe* to the other: the segments that are on their way,
 * in order. Only the first segment of a pipe has an event, at its arrival; whether it gets through
 * is decided then, and if not, it is tried again later and all behind it wait. So loss, partitions
 * and dead hosts are one mechanism, and order costs nothing.
 *
 * What the other side has read travels with each segment back; on its own only when half the window
 * is at stake. An acknowledgement of arrival is not sent at all: what has arrived counts as
 * acknowledged, unless the way back is cut, which starts a timer (pipe.unheard).
 */
#pragma once

#include "world/sim/internal.h"

enum segment_kind { SEG_SYN, SEG_SYNACK, SEG_DATA, SEG_FIN, SEG_WINDOW, SEG_RST };

#define SEGMENT_SMALL 192   /* bytes of data in the ones that are kept for reuse */
#define SEGMENT_MAX   16384 /* bytes of data in one */

struct segment {
    struct segment *next;
    struct end *passed;  /* an end of another connection that comes with it, or NULL */
    int64_t due;         /* arrives at, or is tried again */
    uint64_t read_total; /* what its sender had read by then */
    uint32_t len;
    uint32_t taken; /* how much of it the receiver has read */
    uint8_t kind;
    bool small;
    char data[];
};

struct pipe {
    struct event arrival; /* of the first segment */
    struct event unheard; /* something arrived, but its acknowledgement cannot come back */
    struct link *link;
    struct segment *first;
    struct segment **last;
    int64_t failing_since; /* first attempt of the first segment that failed; -1: none did */
    int64_t unheard_since; /* -1: all that arrived is acknowledged */
    int64_t retry_ns;
    uint64_t sent;       /* bytes ever written */
    uint64_t known;      /* of those, known to have been read by the other side */
    unsigned dead_tries; /* connects that found the host down */
};

enum end_state {
    END_NONE,    /* the accepting end, before the connect has come */
    END_OPENING, /* the connecting end, before the answer has come */
    END_OPEN,
    END_CLOSED, /* by its process: what was written is still delivered */
    END_GONE
};

struct sim_stream;

/* On the stack of a coroutine that connects. */
struct connecting {
    struct sim_world *world;
    struct coro *waiter;
    struct end *end; /* NULL: it has failed and is gone */
};

struct end {
    struct pipe out;
    struct sim_host *host;
    uint32_t boots; /* of the host, when this end began */
    uint8_t side;   /* 0: who connected, 1: who accepted */
    uint8_t state;  /* enum end_state */
    bool fin_sent;
    bool fin_came;
    bool broken; /* reset or timed out: it exists for its process only */
    int error;   /* why, until it has been told */
    struct segment *unread;
    struct segment **unread_last;
    uint64_t unread_bytes;
    uint64_t read_total;
    uint64_t told_total;           /* what the other side was told of that */
    struct sim_stream *stream;     /* the process's handle, or NULL */
    struct connecting *connecting; /* while it is END_OPENING and someone waits */
    struct address peer;           /* as its process is told */
};

struct conn {
    struct list link; /* in sim.conns */
    struct sim *sim;
    uint64_t id;
    int64_t began;
    struct address to; /* what the listener is found by */
    struct end ends[2];
    struct list waiting; /* in socket.waiting, until it is accepted */
};

struct sim_stream {
    struct stream stream;
    struct owned owned;
    struct end *end; /* NULL once given up */
    struct coro *reader;
    struct coro *writer;
    struct coro *on_end; /* see stream_cancel_on_end */
    struct end *taken;   /* what came with the bytes read last, until somebody asks for it */
};

/* A listening socket. It and who is in its queue live as long as somebody holds it. */
struct sim_socket {
    struct list link; /* in host.listeners */
    struct sim_host *host;
    struct address at;
    bool shared;
    unsigned backlog;
    unsigned waiting_count;
    struct list waiting; /* connections, through conn.waiting */
    struct list handles; /* through sim_listener.link */
    uint32_t holders;    /* handles, and processes that were given it and have not taken it */
};

struct sim_listener {
    struct listener listener;
    struct owned owned;
    struct list link;          /* in socket.handles */
    struct sim_socket *socket; /* NULL once given up */
    struct address at;
    struct coro *waiter;
};

static inline struct conn *conn_of(struct end *e)
{
    return container_of(e - e->side, struct conn, ends);
}

static inline struct end *other_end(struct end *e)
{
    return e->side == 0 ? e + 1 : e - 1;
}

static inline uint64_t end_id(struct end *e)
{
    return conn_of(e)->id * 2 + e->side;
}

/* A connection with its connecting end at `from`; NULL: no memory. */
struct conn *conn_open(struct sim_host *from, struct sim_host *to);
/* Frees it if nobody is left at either end and nothing is on its way. To be called when the
 * caller is done with it. */
void conn_settle(struct conn *c);

/* Sends the first segment of a connection. */
int end_connect(struct end *e);
/* 0, or -ENOMEM with nothing done. */
int end_send(
    struct end *e, enum segment_kind kind, const struct iovec *parts, size_t skip, size_t len);
/* The same for data that an end, which nobody has a handle for, goes with. */
int end_send_passing(struct end *e, const struct iovec *parts, size_t len, struct end *passed);
/* An end that nobody has a handle for is nobody's any more. NULL is none. */
void end_drop(struct end *e);
/* Its process has closed it: the rest is delivered, or the other side is reset if something was
 * left unread. After a crash of its host, of which nobody hears, neither happens. */
void end_close(struct end *e);
/* It is reset from this side. */
void end_abort(struct end *e);
void segment_free(struct sim *sim, struct segment *s);

/* stream.c: cancels who wants to know that the other side has left, if it has. */
void end_tell(struct end *e);
/* stream.c: a handle for an end, or NULL: no memory. */
struct sim_stream *stream_for(struct end *e, struct sim_world *w);

/* listener.c: hands the connection to who listens at conn.to: 0 or -ECONNREFUSED. */
int listener_offer(struct conn *c);
/* Whether somebody listens there, and there is no room in the backlog. */
bool listener_is_full(struct conn *c);
/* Whether somebody listens there. */
bool listener_is_there(const struct sim_host *host, const struct address *at);
uint16_t host_take_port(struct sim_host *host);
/* The IPv4 address, in host byte order, that this stands for: 0 for every one; -EADDRNOTAVAIL. */
int ip_of(const struct address *a, uint32_t *ip);
