/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The kernel's helpers that the programs call, by their numbers in linux/bpf.h. */
#ifndef MIRROR_HELPERS_H
#define MIRROR_HELPERS_H

#define SEC(name) __attribute__((section(name), used))
#define INLINE static __attribute__((always_inline)) inline

#define MAP_HASH 1
#define MAP_ARRAY 2
#define MAP_PROG_ARRAY 3
#define MAP_PERCPU_ARRAY 6
#define MAP_LRU_HASH 9
#define MAP_RINGBUF 27

#define UINT(name, value) int (*name)[value]
#define TYPE(name, type) type *name

static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static long (*map_update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*map_delete)(void *map, const void *key) = (void *)3;
static u64 (*ktime_ns)(void) = (void *)5;
static long (*tail_call)(void *ctx, void *map, u32 index) = (void *)12;
static u64 (*pid_tgid)(void) = (void *)14;
static u64 (*uid_gid)(void) = (void *)15;
static long (*current_comm)(void *to, u32 size) = (void *)16;
static long (*read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*read_user_text)(void *to, u32 size, const void *from) = (void *)114;
static long (*read_kernel_text)(void *to, u32 size, const void *from) = (void *)115;
static long (*ring_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static u64 (*ring_query)(void *ring, u64 what) = (void *)134;
static struct task_struct *(*current_task)(void) = (void *)158;
static struct pt_regs *(*task_regs)(struct task_struct *task) = (void *)175;

#define RING_NO_WAKEUP 1
#define RING_FORCE_WAKEUP 2

#define BARRIER __asm__ volatile("" ::: "memory")

/* Reads a member through a pointer that nobody vouches for. */
#define READ(to, place) read_kernel(&(to), sizeof(to), &(place))

#endif
