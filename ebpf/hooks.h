/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Tier T1: programs at the kernel's functions. The ends of those system calls alone that change something,
 * where the tracepoint would be paid for by all; and what is asked before anything is changed by whom no call
 * accounts for. */
#ifndef MIRROR_HOOKS_H
#define MIRROR_HOOKS_H

#define MAY_WRITE 2

/* A call of this thread has ended. Of a number: the kernel goes through it once for each program. */
__attribute__((noinline)) int function_ends(s64 result)
{
	return call_ended(task_regs(current_task()), result);
}

/* What the ends of calls go on to, so that the kernel goes through it once. It lets a program go on to one of
 * its own form alone, and the functions of calls have two: some of their arguments have no name. */
#define GOES_ON(form) \
	struct { \
		UINT(type, MAP_PROG_ARRAY); \
		UINT(key_size, 4); \
		UINT(value_size, 4); \
		UINT(max_entries, 1); \
	} ENDS_##form SEC(".maps"); \
	/* Behind the registers, the function's result. */ \
	SEC("fexit/ends_" #form) \
	int ends_##form(u64 *ctx) \
	{ \
		return function_ends((s64)ctx[1]); \
	}
GOES_ON(0)
GOES_ON(1)

#define END_OF(form, nr) \
	SEC("fexit/end_" #form "_" #nr) \
	int end_##form##_##nr(u64 *ctx) \
	{ \
		tail_call(ctx, &ENDS_##form, 0); \
		return 0; \
	}
#define END(nr) END_OF(0, nr) END_OF(1, nr)

END(1) END(2) END(16) END(18) END(20) END(40) END(49) END(73) END(76) END(77) END(82) END(83) END(84) END(85)
END(86) END(87) END(88) END(90) END(91) END(92) END(93) END(94) END(132) END(133) END(188) END(189) END(190)
END(197) END(198) END(199) END(235) END(257) END(258) END(259) END(260) END(261) END(263) END(264) END(265)
END(266) END(268) END(275) END(280) END(285) END(296) END(304) END(316) END(326) END(328) END(437) END(452)
END(463) END(466) END(469)

/* An inode that is about to be changed. Of numbers: the kernel goes through it once. */
__attribute__((noinline)) int about_to_change(u64 address)
{
	struct setting *s = setting();
	struct inode *inode = (struct inode *)address;
	struct about a = {.inode = inode, .address = address, .hook = 1};
	if (!s || s->on < 2 || !address || !of_leg(s, inode))
		return 0;
	READ(a.ino, inode->i_ino);
	READ(a.links, inode->i_nlink);
	READ(a.mode, inode->i_mode);
	return touch_of(s, &a);
}

/* An argument as a number. */
INLINE u64 number(u64 *arg)
{
	u64 n = 0;
	read_kernel(&n, sizeof(n), arg);
	return n;
}

INLINE u64 inode_at(u64 *arg)
{
	u64 inode = 0;
	struct dentry *d = (struct dentry *)number(arg);
	READ(inode, d->d_inode);
	return inode;
}

/* Something gets a name in a directory. */
#define MADE(name) \
	SEC("fentry/" #name) \
	int name(u64 *ctx) \
	{ \
		return about_to_change(number(&ctx[0])); \
	}
MADE(hook_create)
MADE(hook_mkdir)
MADE(hook_mknod)
MADE(hook_symlink)

/* Something loses it. */
#define GONE(name) \
	SEC("fentry/" #name) \
	int name(u64 *ctx) \
	{ \
		about_to_change(number(&ctx[0])); \
		return about_to_change(inode_at(&ctx[1])); \
	}
GONE(hook_unlink)
GONE(hook_rmdir)

/* What an object says of itself. */
#define SAID(name) \
	SEC("fentry/" #name) \
	int name(u64 *ctx) \
	{ \
		return about_to_change(inode_at(&ctx[1])); \
	}
SAID(hook_attributes)
SAID(hook_setxattr)
SAID(hook_removexattr)
SAID(hook_set_acl)
SAID(hook_remove_acl)

SEC("fentry/hook_link")
int hook_link(u64 *ctx)
{
	about_to_change(inode_at(&ctx[0]));
	return about_to_change(number(&ctx[1]));
}

SEC("fentry/hook_rename")
int hook_rename(u64 *ctx)
{
	about_to_change(number(&ctx[0]));
	about_to_change(number(&ctx[2]));
	about_to_change(inode_at(&ctx[1]));
	return about_to_change(inode_at(&ctx[3]));
}

/* Whether it lies on a leg's file system; for what is asked often. */
INLINE int near(struct setting *s, struct file *f)
{
	u64 super = (u64)f->f_inode->i_sb;
	return s && s->on > 1 && (super == s->super[0] || super == s->super[1]);
}

/* Bytes are about to be written: by a ring, by AIO, by a thread of the kernel. */
SEC("fentry/hook_permission")
int hook_permission(u64 *ctx)
{
	if (!((u32)ctx[1] & MAY_WRITE))
		return 0;
	struct setting *s = setting();
	struct file *f = (struct file *)ctx[0];
	if (!near(s, f))
		return 0;
	struct task_struct *task = current_task();
	s32 nr = doing(task, task_regs(task));
	if (call_of(nr) != CALL_NONE)
		return 0;
	u64 inode = 0;
	f = (struct file *)number(&ctx[0]);
	READ(inode, f->f_inode);
	return about_to_change(inode);
}

/* A page is about to be written through a mapping. */
SEC("fentry/hook_store")
int hook_store(u64 *ctx)
{
	struct setting *s = setting();
	struct file *f = (struct file *)ctx[0];
	if (!near(s, f))
		return 0;
	struct task_struct *task = current_task();
	if (doing(task, task_regs(task)) != NR_FAULT)
		return 0;
	u64 inode = 0;
	f = (struct file *)number(&ctx[0]);
	READ(inode, f->f_inode);
	return about_to_change(inode);
}
#endif
