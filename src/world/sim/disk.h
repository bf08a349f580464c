/*
 * disk.h: a host's disk, below the handles that processes have for its files (file.c).
 *
 * Everything exists twice: as the running host sees it (`now`), and as a crash would leave it
 * (`safe`). What is changed stands in a list of changes until a sync carries it over, in order: a
 * file's content by file_sync, names by a sync of their directory. At a crash each change that is
 * left over is kept or lost, or, if it is a write, torn: the seed decides.
 *
 * Directories are only the part of a name before its last slash; every one exists.
 */
#pragma once

#include "base/bytes.h"
#include "world/sim/internal.h"

struct image {
    char *data;
    uint64_t size;
    uint64_t room;
};

struct inode {
    struct list link; /* in disk.inodes */
    struct disk *disk;
    struct image now;
    struct image safe;
    struct list changes; /* of the content */
    uint32_t refs;       /* names, changes of names, and open files */
};

/* NULL: there is no such file. */
struct inode *disk_find(struct disk *d, const char *path);
/* A new, empty file under a name that is free: 0 or -ENOMEM. */
int disk_create(struct disk *d, const char *path, struct inode **out);
int disk_rename(struct disk *d, const char *from, const char *to);
int disk_unlink(struct disk *d, const char *path);
/* How many changes of names in the directory were carried over. */
unsigned disk_sync_directory(struct disk *d, struct span directory);
/* The directory that a file is in. */
struct span disk_directory_of(const char *path);

void inode_hold(struct inode *i);
void inode_release(struct inode *i);
/* 0, -ENOSPC, -ENOMEM: then nothing has changed. */
int inode_write(struct inode *i, const void *data, size_t size, uint64_t offset);
int inode_resize(struct inode *i, uint64_t size);
size_t inode_read(const struct inode *i, void *buffer, size_t size, uint64_t offset);
/* Carries over the changes before `serial`: how many, or -ENOMEM. */
int inode_sync(struct inode *i, uint64_t serial);
/* The same where each may be kept, torn or lost; none of them is known to be missing any more. */
void inode_settle(struct sim_host *host, struct inode *i, uint64_t serial);
