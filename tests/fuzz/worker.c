/*
 * worker.c: a stream of frames is cut the same way however it arrives, and each frame is written as
 * it was read.
 */
#include "wire/worker.h"

#include "base/bug.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first frame, given ever more of the bytes. */
static ssize_t decode_bytewise(struct span in)
{
    for (size_t len = 0; len <= in.len; len++) {
        struct worker_frame f;
        ssize_t n = worker_decode(&f, (struct span){in.ptr, len}, NULL);
        if (n != 0)
            return n;
    }
    return 0;
}

static void check_setup(struct span text)
{
    struct worker_setup s;
    struct worker_setup again;
    struct arena a;
    struct bytes out;
    struct bytes out2;
    arena_init(&a, 1024 * 1024);
    bytes_init(&out, 1024 * 1024);
    bytes_init(&out2, 1024 * 1024);
    if (worker_setup_read(&s, &a, text, NULL) == 0) {
        check(worker_setup_write(&out, &s) == 0, "a set-up that was read cannot be written");
        check(worker_setup_read(&again, &a, bytes_span(&out), NULL) == 0,
            "a set-up that was written cannot be read");
        check(worker_setup_write(&out2, &again) == 0, "a set-up cannot be written again");
        check(span_equal(bytes_span(&out), bytes_span(&out2)), "a set-up reads back otherwise");
    }
    bytes_release(&out);
    bytes_release(&out2);
    arena_release(&a);
}

static void check_frame(const struct worker_frame *f, struct span in)
{
    struct bytes out;
    int64_t pid;
    bytes_init(&out, 1024 * 1024);
    check(worker_encode(&out, f) == 0, "a frame that was read cannot be written");
    check(span_equal(bytes_span(&out), in), "a frame is written otherwise than it was read");
    bytes_release(&out);
    if (f->kind == WORKER_LOG)
        check(utf8_valid(f->log.line.ptr, f->log.line.len), "a line that is not UTF-8");
    if (f->kind == WORKER_RESULT && f->result.outcome != WORKER_DONE)
        check(utf8_valid(f->result.output.inside.ptr, f->result.output.inside.len),
            "a sentence that is not UTF-8");
    if (f->kind == WORKER_SETUP)
        check_setup(f->text);
    if (f->kind == WORKER_READY && worker_ready_read(&pid, f->text, NULL) == 0)
        check(pid > 0, "a process %lld", (long long)pid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = {(const char *)data, size};
    for (int i = 0; i < 8; i++) {
        struct worker_frame f;
        struct error e = {0};
        ssize_t n = worker_decode(&f, in, &e);
        check(decode_bytewise(in) == n, "bytes in pieces make another frame");
        check((n < 0) == (e.sentence[0] != '\0'), "a sentence where nothing is wrong, or none");
        if (n <= 0)
            break;
        check((size_t)n <= in.len, "a frame beyond its bytes");
        check_frame(&f, (struct span){in.ptr, (size_t)n});
        in = (struct span){in.ptr + n, in.len - (size_t)n};
    }
    return 0;
}
