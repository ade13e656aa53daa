/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The few members of the kernel's structs that the programs read; where they lie is found when the
 * object is loaded (CO-RE), so one object serves every kernel that has BTF. */
#ifndef MIRROR_KERNEL_H
#define MIRROR_KERNEL_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct qstr {
	u64 hash_len;
	const unsigned char *name;
};
struct hlist_node {
	struct hlist_node *next;
};
struct hlist_head {
	struct hlist_node *first;
};
struct super_block {
	u32 s_dev;
};
struct inode {
	u16 i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	u32 i_nlink;
	s64 i_size;
	struct hlist_head i_dentry;
	u32 i_generation;
};
union dentry_use {
	struct hlist_node d_alias;
};
struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	union dentry_use d_u;
	struct inode *d_inode;
};
struct path {
	struct dentry *dentry;
};
struct file {
	u32 f_mode;
	struct inode *f_inode;
	u32 f_flags;
	struct path f_path;
	s64 f_pos;
};
struct fdtable {
	u32 max_fds;
	struct file **fd;
};
struct files_struct {
	struct fdtable *fdt;
	struct file *fd_array[64];
};
struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
	unsigned long saved_auxv[2];
};
struct linux_binprm {
	const char *interp;
};
struct thread_info {
	u32 status;
};
typedef struct {
	int counter;
} atomic_t;
struct signal_struct {
	atomic_t live; /* threads that have not ended */
};
struct task_struct {
	struct thread_info thread_info;
	u32 flags;
	s32 tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct files_struct *files;
	struct mm_struct *mm;
	struct signal_struct *signal;
};
struct address_space {
	struct inode *host;
};
struct pt_regs {
	unsigned long r10, r9, r8, dx, si, di, orig_ax;
};

#pragma clang attribute pop

#endif
