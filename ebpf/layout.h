/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the programs and the command say to each other: the same as audit/src/raw.rs, and checked on
 * both sides. */
#ifndef MIRROR_LAYOUT_H
#define MIRROR_LAYOUT_H

/* What a record is. */
#define KIND_TOUCH 1 /* an inode's change time was set, or a page of it became dirty */
#define KIND_CALL 2  /* a system call that changes something has ended */

/* Whose doing it was, where it was no system call: stands in `nr`. */
#define NR_FAULT -1  /* a store into a mapping */
#define NR_KERNEL -2 /* a thread of the kernel */
#define NR_RING -3   /* a worker of io_uring */
#define NR_COMPAT -4 /* a 32-bit call */

/* Locks that the process holds, and its parent. */
#define HELD_A 1
#define HELD_B 2
#define HELD_WHOLE_A 4
#define HELD_WHOLE_B 8
#define HELD_BY_PARENT 16

#define FLAG_CREATED 1 /* an open made the file */
#define FLAG_CUT 2     /* the path is longer than the record, or deeper than the walk */
#define FLAG_TRUNC 4   /* an open emptied the file */
#define FLAG_OUTSIDE 8 /* a directory outside of the legs was touched by the call as well */
#define FLAG_FOLLOWS 16 /* of `inode`, which the thread has written on both legs, this one as the second */
#define FLAG_TRIED 32 /* a change that was about to be made when it was told */

struct event {
	u32 kind;
	u32 flags;
	u64 time;
	u32 tgid;
	u32 tid;
	u32 uid;
	u32 parent;
	char comm[16];
	s32 nr;
	u32 mode;
	s64 result;
	u64 args[6];
	u64 offset;
	u64 inode;
	u32 device;
	u32 generation;
	u32 links;
	u8 leg;
	u8 held;
	u16 path;
	u16 first;
	u16 second;
	u32 rest;
};
_Static_assert(sizeof(struct event) == 152, "event");
_Static_assert(__builtin_offsetof(struct event, comm) == 32, "comm");
_Static_assert(__builtin_offsetof(struct event, args) == 64, "args");
_Static_assert(__builtin_offsetof(struct event, inode) == 120, "inode");
_Static_assert(__builtin_offsetof(struct event, leg) == 140, "leg");

/* What the command tells the programs. */
#define PLACE_ROOT 0    /* the legs' roots */
#define PLACE_CONTROL 2 /* their .mirror */
#define PLACE_LOCKS 4   /* their .mirror/locks */
#define PLACE_WHOLE 6   /* the lock object of the whole pair in them */
#define PLACES 8
struct setting {
	u64 place[PLACES]; /* dentries, found when the command unlocks a descriptor of them */
	u64 super[2];      /* the legs' file systems */
	u32 own;           /* the command's process: what it changes is not told */
	u32 learn;         /* 1 + the place that its next flock is about */
	u32 on;            /* 1: locks are counted; 2: changes are told */
	u32 stamps;        /* the kernel has tracepoints for change times */
};
_Static_assert(sizeof(struct setting) == 96, "setting");

struct counts {
	u64 told;
	u64 lost;
	u64 matched; /* pairs of writes that nobody was told of */
	u64 kept;    /* writes that waited for their match... */
	u64 settled; /* ...and those that wait no more */
};
_Static_assert(sizeof(struct counts) == 40, "counts");

/* What a thread writes on both legs. */
#define THREAD_TEXT 256
struct thread {
	struct event e; /* waits for its match, if `waits` */
	char text[THREAD_TEXT]; /* the path of both, as in a record */
	u64 dentry[2];
	u64 hash[2];
	u64 ino[2];
	u64 moves; /* as many names had been moved when it was known that both have that path; 0: it is not known */
	u64 moves_half;
	u64 half_at;
	s64 half_result;
	u16 path;
	u8 half; /* 1 + the leg on which the thread has written that path last, and not on the other one */
	u8 waits;
	u8 matched; /* a pair was not told, and no change of times has followed it */
	u8 second;  /* the leg that came second then */
	u16 rest;
};
_Static_assert(sizeof(struct thread) == 496, "thread");
_Static_assert(__builtin_offsetof(struct thread, waits) == 491, "waits");

/* What a program was started with; texts that are too long are cut. */
struct began {
	char file[256];
	char args[256]; /* each with a NUL */
	char preload[128];
	u64 marks;
};
#define BEGAN_STATIC 1 /* without an interpreter */
#define BEGAN_SECURE 2 /* with rights of its own: set-id, capabilities of its file */
_Static_assert(sizeof(struct began) == 648, "began");
#endif
