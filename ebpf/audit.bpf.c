/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Tells each change below two directories: what system calls change, by their results, and what happens
 * without one. Nothing is decided here but whether an inode lies in a leg. */
#include "kernel.h"
#include "helpers.h"
#include "layout.h"
#include "calls.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Keeps the compiler from knowing a value: the kernel does not see what it concludes. */
#define HIDE(value) __asm__ volatile("" : "+r"(value))

#define TEXT 4096
#define NAME 256
#define DEPTH 256
#define ALIASES 64
#define TOUCHED 8

#define PF_IO_WORKER 0x10
#define PF_KTHREAD 0x200000
#define TS_COMPAT 2
#define S_IFMT 0170000
#define S_IFDIR 0040000
#define S_IFREG 0100000
#define O_TRUNC 01000
#define O_APPEND 02000
#define O_PATH 010000000
#define FMODE_CREATED 0x100000

/* Enough for programs that were interrupted by others on their processor: those at functions can be. */
#define SLOTS 4

struct record {
	u32 used;
	u32 slot;
	struct event e;
	/* A path, its last name first; or two paths as the program gave them. */
	char text[2 * TEXT + NAME];
};

struct touched {
	u64 inode[TOUCHED];
	u64 time;
	s32 nr;
	u16 count;
	u16 outside; /* a directory that is in no leg, which tells what a rename has led out or in */
};

struct {
	UINT(type, MAP_ARRAY);
	TYPE(key, u32);
	TYPE(value, struct setting);
	UINT(max_entries, 1);
} SETTING SEC(".maps");

struct {
	UINT(type, MAP_RINGBUF);
	UINT(max_entries, 8 << 20);
} RING SEC(".maps");

struct {
	UINT(type, MAP_PERCPU_ARRAY);
	TYPE(key, u32);
	TYPE(value, struct record);
	UINT(max_entries, SLOTS);
} SCRATCH SEC(".maps");

struct {
	UINT(type, MAP_PERCPU_ARRAY);
	TYPE(key, u32);
	TYPE(value, struct counts);
	UINT(max_entries, 1);
} COUNTS SEC(".maps");

/* By thread: the inodes that its present call has touched. */
struct {
	UINT(type, MAP_LRU_HASH);
	TYPE(key, u32);
	TYPE(value, struct touched);
	UINT(max_entries, 8192);
} TOUCHES SEC(".maps");

/* By process: how many lock objects it holds of each leg, then whether the whole's. */
struct held {
	u16 objects[2];
	u16 whole[2];
};
struct {
	UINT(type, MAP_LRU_HASH);
	TYPE(key, u32);
	TYPE(value, struct held);
	UINT(max_entries, 8192);
} HELD SEC(".maps");

static const u32 ZERO = 0;

/* How often names have been moved: what was known of paths is not known any more. */
struct {
	UINT(type, MAP_ARRAY);
	TYPE(key, u32);
	TYPE(value, u64);
	UINT(max_entries, 1);
} MOVES SEC(".maps");

INLINE u64 moves_made(void)
{
	u64 *n = map_lookup(&MOVES, &ZERO);
	return n ? *n + 1 : 0;
}

INLINE void moved(void)
{
	u64 *n = map_lookup(&MOVES, &ZERO);
	if (n)
		__sync_fetch_and_add(n, 1);
}

INLINE void count(u64 *n)
{
	__sync_fetch_and_add(n, 1);
}

/* Something may have been changed in a leg that nobody will be told of. */
INLINE void lose(void)
{
	struct counts *c = map_lookup(&COUNTS, &ZERO);
	if (c)
		count(&c->lost);
}

/* A record for this program alone, until it is given back. */
INLINE struct record *take(void)
{
	for (u32 i = 0; i < SLOTS; i++) {
		u32 at = i;
		struct record *r = map_lookup(&SCRATCH, &at);
		if (r && !__sync_val_compare_and_swap(&r->used, 0, 1)) {
			r->slot = at;
			return r;
		}
	}
	lose();
	return 0;
}

INLINE void give_back(struct record *r)
{
	__sync_fetch_and_and(&r->used, 0);
}

INLINE struct setting *setting(void)
{
	return map_lookup(&SETTING, &ZERO);
}

/* The leg that a dentry lies in; -1: none; -2: too deep to know; 2: the control folder. A function of its
 * own, and of numbers: the kernel goes through it once, not once for each way that leads here. */
__attribute__((noinline)) int place_above(u64 dentry)
{
	struct setting *s = setting();
	if (!s)
		return -1;
	for (int i = 0; i < DEPTH; i++) {
		u64 up = 0;
		if (dentry == s->place[0])
			return 0;
		if (dentry == s->place[1])
			return 1;
		if (dentry == s->place[2] || dentry == s->place[3])
			return 2;
		if (READ(up, ((struct dentry *)dentry)->d_parent) || up == dentry)
			return -1;
		dentry = up;
	}
	return -2;
}

INLINE int of_leg(struct setting *s, struct inode *inode)
{
	struct super_block *sb = 0;
	READ(sb, inode->i_sb);
	return sb && ((u64)sb == s->super[0] || (u64)sb == s->super[1]);
}

/* Writes the names from a dentry up to its leg's root, each with a NUL. */
__attribute__((noinline)) int tell_path(u64 dentry, u32 slot)
{
	struct record *r = map_lookup(&SCRATCH, &slot);
	struct setting *s = setting();
	u32 at = 0;
	if (!r || !s)
		return 0;
	u64 root = r->e.leg ? s->place[1] : s->place[0];
	r->e.flags |= FLAG_CUT;
	for (int i = 0; i < DEPTH; i++) {
		struct dentry *d = (struct dentry *)dentry;
		const unsigned char *name = 0;
		if (dentry == root) {
			r->e.flags &= ~FLAG_CUT;
			break;
		}
		if (READ(name, d->d_name.name) || READ(dentry, d->d_parent) || at >= TEXT)
			break;
		long n = read_kernel_text(&r->text[at & (TEXT - 1)], NAME, name);
		if (n <= 0)
			break;
		at += (u32)n & (2 * NAME - 1);
	}
	r->e.path = at;
	return 0;
}

INLINE void tell_args(struct record *r, struct pt_regs *regs)
{
	r->e.args[0] = regs->di;
	r->e.args[1] = regs->si;
	r->e.args[2] = regs->dx;
	r->e.args[3] = regs->r10;
	r->e.args[4] = regs->r8;
	r->e.args[5] = regs->r9;
}

INLINE u8 held_by(u32 tgid)
{
	struct held *h = map_lookup(&HELD, &tgid);
	if (!h)
		return 0;
	return (h->objects[0] ? HELD_A : 0) | (h->objects[1] ? HELD_B : 0) |
	       (h->whole[0] ? HELD_WHOLE_A : 0) | (h->whole[1] ? HELD_WHOLE_B : 0);
}

/* Who, and when. */
INLINE void tell_who(struct record *r, struct task_struct *task, u32 kind, s32 nr)
{
	u64 id = pid_tgid();
	__builtin_memset(&r->e, 0, sizeof(r->e));
	r->e.kind = kind;
	r->e.nr = nr;
	r->e.time = ktime_ns();
	r->e.tgid = id >> 32;
	r->e.tid = (u32)id;
	r->e.uid = (u32)uid_gid();
	current_comm(r->e.comm, sizeof(r->e.comm));
	r->e.parent = task->group_leader->real_parent->tgid;
	r->e.held = held_by(r->e.tgid);
	if (!r->e.held) {
		u8 above = held_by(r->e.parent);
		if (above)
			r->e.held = above | HELD_BY_PARENT;
	}
}

/* Of an object that is found by a descriptor, whose path tells what it is. */
INLINE void tell_links(struct record *r, struct inode *inode)
{
	u16 mode = 0;
	READ(mode, inode->i_mode);
	READ(r->e.links, inode->i_nlink);
	r->e.mode = mode;
}

INLINE void tell(struct record *r, u32 text)
{
	struct counts *c = map_lookup(&COUNTS, &ZERO);
	if (text > 2 * TEXT)
		text = 2 * TEXT;
	long lost = ring_output(&RING, &r->e, sizeof(struct event) + text, RING_NO_WAKEUP);
	if (c) {
		count(&c->told);
		if (lost)
			count(&c->lost);
	}
}

INLINE struct inode *inode_of(struct file *f)
{
	struct inode *inode = 0;
	READ(inode, f->f_inode);
	return inode;
}

/* One of the inode's names that lies in a leg. */
INLINE struct dentry *name_of(struct setting *s, struct inode *inode, int *place)
{
	struct hlist_node *node = 0;
	READ(node, inode->i_dentry.first);
	*place = -1;
	for (int i = 0; i < ALIASES && node; i++) {
		struct dentry *d = (void *)node - __builtin_preserve_field_info(((struct dentry *)0)->d_u.d_alias, 0);
		*place = place_above((u64)d);
		if (*place == 0 || *place == 1)
			return d;
		struct hlist_node *next = 0;
		READ(next, node->next);
		node = next;
	}
	return 0;
}

/* Who makes the change that is going on: a call's number, or one of NR_. */
INLINE s32 doing(struct task_struct *task, struct pt_regs *regs)
{
	u32 flags = task->flags;
	if (flags & PF_KTHREAD)
		return NR_KERNEL;
	if (flags & PF_IO_WORKER)
		return NR_RING;
	s32 nr = regs->orig_ax;
	if (nr >= 0 && (task->thread_info.status & TS_COMPAT))
		return NR_COMPAT;
	return nr < 0 ? NR_FAULT : nr;
}

INLINE u8 call_of(s32 nr)
{
	u32 n = nr;
	if (n >= CALLS)
		return CALL_NONE;
	HIDE(n);
	return CALL[n & (CALLS - 1)];
}

/* Whether this inode was touched in the thread's present call before; remembers it. */
INLINE int again(u32 tid, s32 nr, u64 inode, u64 now, u16 outside)
{
	struct touched *t = map_lookup(&TOUCHES, &tid);
	if (!t) {
		struct touched first = {.inode = {inode}, .time = now, .nr = nr, .count = !outside, .outside = outside};
		map_update(&TOUCHES, &tid, &first, 0);
		return 0;
	}
	/* The end of a call of names forgets them. What has no end is told every 2 ms. */
	if (t->nr != nr || (call_of(nr) != CALL_NAME && now - t->time > 2000000)) {
		t->count = 0;
		t->outside = 0;
		t->nr = nr;
		t->time = now;
	}
	if (outside) {
		t->outside = 1;
		return 1;
	}
	for (u32 i = 0; i < TOUCHED; i++)
		if (i < t->count && t->inode[i] == inode)
			return 1;
	if (t->count < TOUCHED) {
		t->inode[t->count & 7] = inode;
		t->count += 1;
	}
	return 0;
}

INLINE int moves(s32 nr)
{
	return nr == 82 || nr == 264 || nr == 316;
}

/* Whether a call, or what is none, gives an object another place, or one more. */
INLINE int places(s32 nr)
{
	return moves(nr) || nr == 86 || nr == 265 || nr < 0 || nr == 426;
}

/* What is known of an inode that is touched. */
struct about {
	struct inode *inode;
	u64 address;
	u64 ino;
	u32 links;
	u16 mode;
	u8 page; /* one of its pages has become dirty */
	u8 hook; /* nobody knows whether it will be changed */
};

INLINE int touch_of(struct setting *s, struct about *a)
{
	u64 id = pid_tgid();
	struct task_struct *task = current_task();
	struct pt_regs *regs = task_regs(task);
	s32 nr = doing(task, regs);
	int dir = (a->mode & S_IFMT) == S_IFDIR;
	if (places(nr) && dir)
		moved();
	if ((u32)(id >> 32) == s->own)
		return 0;
	u8 call = call_of(nr);
	/* Descriptors are looked at when the call ends; a page that a call dirties is its data; the kernel's
	 * threads dirty pages and inodes also when they only write back. */
	int other = call == CALL_IOCTL && s->stamps && !changes((u32)regs->si);
	if (call != CALL_NONE && call != CALL_NAME && !other)
		return 0;
	if (a->page && nr != NR_FAULT && nr != NR_RING)
		return 0;
	int place;
	struct dentry *d = name_of(s, a->inode, &place);
	if (!d) {
		if (place == -1 && dir && moves(nr))
			again((u32)id, nr, 0, ktime_ns(), 1);
		return 0;
	}
	/* A call's end says whether it was done. */
	int tried = a->hook && call != CALL_NAME;
	if (again((u32)id, nr, a->address | tried, ktime_ns(), 0))
		return 0;
	struct record *r = take();
	if (!r)
		return 0;
	tell_who(r, task, KIND_TOUCH, nr);
	r->e.flags = tried ? FLAG_TRIED : 0;
	r->e.inode = a->ino;
	r->e.mode = a->mode;
	r->e.links = a->links;
	r->e.leg = place;
	if (nr >= 0)
		tell_args(r, regs);
	tell_path((u64)d, r->slot);
	tell(r, r->e.path);
	give_back(r);
	return 0;
}

INLINE int touch(struct inode *inode, int page, int hook)
{
	struct setting *s = setting();
	if (!s || s->on < 2 || !inode)
		return 0;
	u64 super = (u64)inode->i_sb;
	if (super != s->super[0] && super != s->super[1])
		return 0;
	struct about a = {
		.inode = inode,
		.address = (u64)inode,
		.ino = inode->i_ino,
		.links = inode->i_nlink,
		.mode = inode->i_mode,
		.page = page,
		.hook = hook,
	};
	return touch_of(s, &a);
}

SEC("tp_btf/inode_set_ctime_to_ts")
int stamp_set(u64 *ctx)
{
	return touch((struct inode *)ctx[0], 0, 0);
}

SEC("tp_btf/ctime_ns_xchg")
int stamp_new(u64 *ctx)
{
	return touch((struct inode *)ctx[0], 0, 0);
}

SEC("tp_btf/ctime_xchg_skip")
int stamp_same(u64 *ctx)
{
	return touch((struct inode *)ctx[0], 0, 0);
}

SEC("tp_btf/writeback_dirty_folio")
int page_dirty(u64 *ctx)
{
	struct address_space *mapping = (struct address_space *)ctx[1];
	return mapping ? touch(mapping->host, 1, 0) : 0;
}

/* Kernels before 6.13 have no tracepoints for change times. */
INLINE int dirtied(struct inode *inode)
{
	struct setting *s = setting();
	if (!s || s->stamps)
		return 0;
	return current_task()->flags & PF_KTHREAD ? 0 : touch(inode, 0, 0);
}

SEC("tp_btf/writeback_mark_inode_dirty")
int inode_dirty(u64 *ctx)
{
	return dirtied((struct inode *)ctx[0]);
}

SEC("tp_btf/ext4_mark_inode_dirty")
int ext4_dirty(u64 *ctx)
{
	return dirtied((struct inode *)ctx[0]);
}

#include "open.h"
#include "pairs.h"

/* The command unlocks descriptors of the places: they become known by their dentries. */
INLINE void learn(struct setting *s, struct file *f)
{
	u32 place = s->learn - 1;
	struct dentry *d = 0;
	struct inode *inode = inode_of(f);
	struct super_block *sb = 0;
	if (place >= PLACES)
		return;
	READ(d, f->f_path.dentry);
	s->place[place] = (u64)d;
	READ(sb, inode->i_sb);
	if (place == 0)
		s->super[0] = (u64)sb;
	if (place == 1)
		s->super[1] = (u64)sb;
	s->learn = 0;
}

#define LOCK_SH 1
#define LOCK_EX 2
#define LOCK_UN 8

/* The thread has done with its change. */
INLINE void change_ends(void)
{
	u32 tid = (u32)pid_tgid();
	struct thread *t = map_lookup(&THREADS, &tid);
	if (t)
		give_up(t);
}

INLINE void count_lock(struct setting *s, struct seen *seen, u32 tgid, u64 how)
{
	u64 d = seen->dentry, up = seen->up;
	u32 leg = up == s->place[PLACE_LOCKS] ? 0 : up == s->place[PLACE_LOCKS + 1] ? 1 : 2;
	if (leg > 1)
		return;
	struct held none = {}, *h = map_lookup(&HELD, &tgid);
	if (!h) {
		if (how & LOCK_UN)
			return;
		map_update(&HELD, &tgid, &none, 0);
		h = map_lookup(&HELD, &tgid);
		if (!h)
			return;
	}
	u16 *n = d == s->place[PLACE_WHOLE] || d == s->place[PLACE_WHOLE + 1] ? &h->whole[leg] : &h->objects[leg];
	if (how & LOCK_UN) {
		*n -= *n ? 1 : 0;
		change_ends();
	} else if (how & LOCK_EX)
		*n += 1;
}

/* A path that the program gave, behind the first one. */
INLINE u32 tell_name(struct record *r, u64 at, u32 which)
{
	if (which == 0 || which > 6)
		return 0;
	const void *from = (const void *)r->e.args[(which - 1) & 7];
	long n = read_user_text(&r->text[at & (TEXT - 1)], TEXT, from);
	return n > 0 ? (u32)n : 0;
}

INLINE int sets_times(s32 nr)
{
	return nr == 132 || nr == 235 || nr == 261 || nr == 280;
}

INLINE int end_of_names(struct setting *s, struct task_struct *task, struct pt_regs *regs, s32 nr, s64 result)
{
	u32 tid = (u32)pid_tgid();
	struct touched *t = map_lookup(&TOUCHES, &tid);
	if (!t || t->nr != nr)
		return 0;
	u32 told = t->count, outside = t->outside;
	map_delete(&TOUCHES, &tid);
	if (!told)
		return 0;
	struct record *r = take();
	if (!r)
		return 0;
	tell_who(r, task, KIND_CALL, nr);
	r->e.flags = outside ? FLAG_OUTSIDE : 0;
	r->e.result = result;
	struct thread *t2 = map_lookup(&THREADS, &tid);
	if (t2) {
		give_up(t2);
		if (t2->matched && sets_times(nr)) {
			/* Once: what comes after that follows nothing. */
			t2->matched = 0;
			r->e.flags |= FLAG_FOLLOWS;
			r->e.inode = t2->ino[t2->second & 1];
			r->e.leg = t2->second & 1;
		}
	}
	tell_args(r, regs);
	u32 n = nr;
	HIDE(n);
	u8 names = NAMES[n & (CALLS - 1)];
	if (nr == 49) {
		/* The text of an address of a socket begins behind its family. */
		r->e.args[1] += 2;
	}
	r->e.first = tell_name(r, 0, names & 15);
	r->e.second = tell_name(r, r->e.first, names >> 4);
	tell(r, (u32)r->e.first + r->e.second);
	give_back(r);
	return 0;
}

/* Where the bytes that a call has written begin. */
INLINE u64 begins(s32 nr, struct pt_regs *regs, struct file *f, s64 result)
{
	s64 at = 0;
	u32 flags = 0;
	u64 place = 0;
	READ(flags, f->f_flags);
	switch (nr) {
	case 275:
		place = regs->r10;
		break;
	case 326:
		place = regs->r10;
		break;
	case 18:
	case 296:
		if (!(flags & O_APPEND))
			return regs->r10;
		break;
	case 328:
		if (!(flags & O_APPEND) && regs->r10 != (u64)-1)
			return regs->r10;
		break;
	}
	if (place)
		read_user(&at, sizeof(at), (const void *)place);
	else if (flags & O_APPEND) {
		struct inode *inode = inode_of(f);
		READ(at, inode->i_size);
	} else
		READ(at, f->f_pos);
	return at - result;
}

INLINE int opened(struct record *r, struct file *f)
{
	u32 mode = 0;
	u64 flags = 0;
	READ(mode, f->f_mode);
	switch (r->e.nr) {
	case 2:
		flags = r->e.args[1];
		break;
	case 85:
		flags = O_TRUNC;
		break;
	case 257:
	case 304:
		flags = r->e.args[2];
		break;
	case 437:
		read_user(&flags, sizeof(flags), (const void *)r->e.args[2]);
		break;
	}
	if (mode & FMODE_CREATED)
		r->e.flags |= FLAG_CREATED;
	else if (flags & O_TRUNC && !(flags & O_PATH))
		r->e.flags |= FLAG_TRUNC;
	return r->e.flags & (FLAG_CREATED | FLAG_TRUNC);
}

INLINE int moves_data(s32 nr)
{
	return writes(nr) || nr == 40 || nr == 275 || nr == 326;
}

/* By its own locks on both legs a write may be half of a mirrored one. */
INLINE int by_both(u8 held)
{
	return (held & (HELD_A | HELD_B | HELD_BY_PARENT)) == (HELD_A | HELD_B);
}

/* A change of an object of a leg. */
INLINE int tell_change(struct setting *s, struct task_struct *task, struct pt_regs *regs, struct seen *seen, u8 call,
		       s64 result)
{
	struct file *f = seen->file;
	u64 d = seen->dentry, ino = 0, id = pid_tgid();
	int place = seen->place;
	s32 nr = regs->orig_ax;
	u32 tid = (u32)id;
	if (place == -1)
		d = (u64)name_of(s, inode_of(f), &place);
	if (!d || (place != 0 && place != 1))
		return 0;
	struct thread *t = map_lookup(&THREADS, &tid);
	if (t) {
		int may = writes(nr) && seen->place == place && known(t, place, seen) && by_both(held_by(id >> 32));
		if (may && settled(t, place, nr, begins(nr, regs, f, result), result))
			return 0;
		give_up(t);
	}
	struct record *r = take();
	if (!r)
		return 0;
	tell_who(r, task, KIND_CALL, nr);
	r->e.leg = place;
	r->e.result = result;
	tell_args(r, regs);
	struct inode *inode = inode_of(f);
	tell_links(r, inode);
	/* What goes through a fifo or to a device is none of the tree's. */
	int mere = (call == CALL_OPENED && !opened(r, f)) || (moves_data(nr) && (r->e.mode & S_IFMT) != S_IFREG);
	if (!mere) {
		r->e.offset = begins(nr, regs, f, result);
		tell_path(d, r->slot);
		tell(r, r->e.path);
		if (writes(nr) && by_both(r->e.held) && seen->place == place) {
			READ(ino, inode->i_ino);
			remember(r, seen, ino);
		}
	}
	give_back(r);
	return 0;
}

INLINE int call_ended(struct pt_regs *regs, s64 result)
{
	u64 nr = regs->orig_ax;
	u8 call = call_of((s32)nr);
	if (call == CALL_NONE)
		return 0;
	struct setting *s = setting();
	if (!s || !s->on)
		return 0;
	struct task_struct *task = current_task();
	if (call == CALL_NAME) {
		if (task->thread_info.status & TS_COMPAT || s->on < 2)
			return 0;
		if (places((s32)nr) && result >= 0)
			moved();
		if (pid_tgid() >> 32 == s->own)
			return 0;
		return end_of_names(s, task, regs, (s32)nr, result);
	}
	if (result < 0)
		return 0;
	if (call == CALL_IOCTL && !changes((u32)regs->si))
		return 0;
	struct seen seen = {.place = PLACE_NOT_ASKED};
	u64 fd = call == CALL_OPENED ? (u64)result : call == CALL_FD2 ? regs->dx : regs->di;
	if (!look(s, task, fd, call, &seen) || task->thread_info.status & TS_COMPAT)
		return 0;
	u32 tgid = pid_tgid() >> 32;
	if (call == CALL_LOCK) {
		if (tgid == s->own)
			learn(s, seen.file);
		else
			count_lock(s, &seen, tgid, regs->si);
		return 0;
	}
	if (tgid == s->own || s->on < 2)
		return 0;
	return tell_change(s, task, regs, &seen, call, result);
}

SEC("tp_btf/sys_exit")
int call_end(u64 *ctx)
{
	return call_ended((struct pt_regs *)ctx[0], (s64)ctx[1]);
}

/* What a thread has left without a match is told; its number may be another's soon. */
INLINE void forget_thread(u32 tid)
{
	struct thread *t = map_lookup(&THREADS, &tid);
	if (t) {
		give_up(t);
		map_delete(&THREADS, &tid);
	}
	map_delete(&TOUCHES, &tid);
}

/* A process has no lock any more: its last thread has ended, or it runs another program. Nobody says that it gave
 * them back. */
INLINE void forget_locks(u32 tgid)
{
	map_delete(&HELD, &tgid);
}

SEC("tp_btf/sched_process_exit")
int thread_ends(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	u64 id = pid_tgid();
	forget_thread((u32)id);
	if (task->signal->live.counter <= 0)
		forget_locks(id >> 32);
	return 0;
}

#include "began.h"
#include "hooks.h"
