/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What programs were started with: when a change of theirs is looked at, they may have ended. */
#ifndef MIRROR_BEGAN_H
#define MIRROR_BEGAN_H

struct {
	UINT(type, MAP_LRU_HASH);
	TYPE(key, u32);
	TYPE(value, struct began);
	UINT(max_entries, 4096);
} BEGAN SEC(".maps");

/* A process that has only forked runs what another one has started. */
struct {
	UINT(type, MAP_LRU_HASH);
	TYPE(key, u32);
	TYPE(value, u32);
	UINT(max_entries, 8192);
} IMAGE SEC(".maps");

struct {
	UINT(type, MAP_PERCPU_ARRAY);
	TYPE(key, u32);
	TYPE(value, struct began);
	UINT(max_entries, 1);
} BEGINS SEC(".maps");

#define VARIABLES 256

/* Keeps the value of LD_PRELOAD. */
INLINE void keep_preload(struct began *b, struct record *r, u64 at, u64 end)
{
	for (int i = 0; i < VARIABLES && at < end; i++) {
		long n = read_user_text(r->text, TEXT, (const void *)at);
		if (n <= 0)
			return;
		/* "LD_PRELO", "AD=" */
		if (*(u64 *)r->text == 0x4f4c4552505f444cull && (*(u32 *)&r->text[8] & 0xffffff) == 0x3d4441) {
			__builtin_memcpy(b->preload, &r->text[11], sizeof(b->preload));
			return;
		}
		at += n;
	}
}

#define AUXV 22
#define AT_BASE 7
#define AT_SECURE 23

/* What the kernel has told the program of itself. */
INLINE u64 marks(struct record *r, struct mm_struct *mm)
{
	u64 found = BEGAN_STATIC;
	if (read_kernel(r->text, 16 * AUXV, &mm->saved_auxv))
		return 0;
	for (int i = 0; i < AUXV; i++) {
		u64 key = ((u64 *)r->text)[2 * i], value = ((u64 *)r->text)[2 * i + 1];
		if (!key)
			break;
		if (key == AT_BASE && value)
			found &= ~BEGAN_STATIC;
		if (key == AT_SECURE && value)
			found |= BEGAN_SECURE;
	}
	return found;
}

SEC("tp_btf/sched_process_exec")
int program_begins(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct linux_binprm *bprm = (struct linux_binprm *)ctx[2];
	struct setting *s = setting();
	struct began *b = map_lookup(&BEGINS, &ZERO);
	u64 id = pid_tgid();
	u32 tgid = id >> 32;
	/* The thread that has begun it has the number of the process from here on. */
	forget_thread((u32)id);
	forget_thread((u32)ctx[1]);
	forget_locks(tgid);
	if (!s || s->on < 2 || !b)
		return 0;
	__builtin_memset(b, 0, sizeof(*b));
	read_kernel_text(b->file, sizeof(b->file), bprm->interp);
	struct mm_struct *mm = task->mm;
	struct record *r = take();
	if (mm && r) {
		u64 at = mm->arg_start, len = mm->arg_end - at;
		if (len > sizeof(b->args))
			len = sizeof(b->args);
		read_user(b->args, (u32)len, (const void *)at);
		keep_preload(b, r, mm->env_start, mm->env_end);
		b->marks = marks(r, mm);
	}
	if (r)
		give_back(r);
	map_update(&BEGAN, &tgid, b, 0);
	map_delete(&IMAGE, &tgid);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int process_forks(u64 *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx[0], *child = (struct task_struct *)ctx[1];
	struct setting *s = setting();
	u32 from = parent->tgid, to = child->tgid;
	if (!s || s->on < 2 || from == to)
		return 0;
	u32 *of = map_lookup(&IMAGE, &from);
	u32 image = of ? *of : from;
	map_update(&IMAGE, &to, &image, 0);
	return 0;
}
#endif
