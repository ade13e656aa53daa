/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Mirrored writes are matched here, so that nobody need be told of them: a thread that has once changed the
 * same path on both legs goes on to do so. What it then writes on one leg waits for the same on the other one;
 * if it is not the next thing that the thread does, it is told after all. */
#ifndef MIRROR_PAIRS_H
#define MIRROR_PAIRS_H

struct {
	UINT(type, MAP_HASH);
	TYPE(key, u32);
	TYPE(value, struct thread);
	UINT(max_entries, 4096);
} THREADS SEC(".maps");

/* A thread that nobody has met. */
struct {
	UINT(type, MAP_ARRAY);
	TYPE(key, u32);
	TYPE(value, struct thread);
	UINT(max_entries, 1);
} NOBODY SEC(".maps");

/* What waits has no match: it is told. */
INLINE void give_up(struct thread *t)
{
	struct counts *c = map_lookup(&COUNTS, &ZERO);
	if (!t->waits)
		return;
	t->waits = 0;
	long lost = ring_output(&RING, t, sizeof(struct event) + (t->e.path & (THREAD_TEXT - 1)), RING_NO_WAKEUP);
	if (c) {
		count(&c->told);
		if (lost)
			count(&c->lost);
		count(&c->settled);
	}
}

INLINE int writes(s32 nr)
{
	return nr == 1 || nr == 18 || nr == 20 || nr == 296 || nr == 328;
}

/* Whether this is the object that the thread has changed on both legs. */
INLINE int known(struct thread *t, u32 leg, struct seen *seen)
{
	HIDE(leg);
	leg &= 1;
	return t->moves && t->moves == moves_made() && t->dentry[leg] == seen->dentry && t->hash[leg] == seen->hash;
}

/* The path of the record is the one that the thread has kept. */
INLINE int same_text(struct record *r, struct thread *t)
{
	u32 n = r->e.path;
	if (n != t->path || n >= THREAD_TEXT)
		return 0;
	for (u32 i = 0; i < THREAD_TEXT / 8; i++) {
		u64 a = ((u64 *)r->text)[i], b = ((u64 *)t->text)[i];
		if (8 * i >= n)
			break;
		u32 left = n - 8 * i;
		if (left < 8) {
			u64 mask = (1ull << (8 * left)) - 1;
			a &= mask;
			b &= mask;
		}
		if (a != b)
			return 0;
	}
	return 1;
}

/* A write that has been told: it may be half of a pair, whose other half comes next. */
INLINE void remember(struct record *r, struct seen *seen, u64 ino)
{
	u32 tid = r->e.tid;
	u8 leg = r->e.leg & 1;
	if (r->e.flags & FLAG_CUT || r->e.path >= THREAD_TEXT || r->e.result <= 0)
		return;
	struct thread *t = map_lookup(&THREADS, &tid);
	if (!t) {
		struct thread *nobody = map_lookup(&NOBODY, &ZERO);
		if (!nobody)
			return;
		map_update(&THREADS, &tid, nobody, 0);
		t = map_lookup(&THREADS, &tid);
		if (!t)
			return;
	}
	u64 moves = moves_made();
	if (t->half && t->half - 1 != leg && t->half_at == r->e.offset && t->half_result == r->e.result &&
	    t->moves_half == moves && same_text(r, t)) {
		t->dentry[leg] = seen->dentry;
		t->hash[leg] = seen->hash;
		t->ino[leg] = ino;
		t->moves = moves;
		t->half = 0;
		return;
	}
	t->moves = 0;
	t->half = leg + 1;
	t->half_at = r->e.offset;
	t->half_result = r->e.result;
	t->moves_half = moves;
	t->dentry[leg] = seen->dentry;
	t->hash[leg] = seen->hash;
	t->ino[leg] = ino;
	t->e = r->e;
	t->path = r->e.path;
	__builtin_memcpy(t->text, r->text, THREAD_TEXT);
}

/* Whether a write need not be told now: it waits, or it is what another one has waited for. */
INLINE int settled(struct thread *t, u8 leg, s32 nr, u64 offset, s64 result)
{
	struct counts *c = map_lookup(&COUNTS, &ZERO);
	if (t->waits && t->e.leg != leg && t->e.offset == offset && t->e.result == result) {
		t->waits = 0;
		t->matched = 1;
		t->second = leg;
		if (c) {
			count(&c->matched);
			count(&c->settled);
		}
		return 1;
	}
	give_up(t);
	if (result <= 0)
		return 0;
	/* Who it is has not changed since it was remembered. */
	t->e.nr = nr;
	t->e.leg = leg;
	t->e.offset = offset;
	t->e.result = result;
	t->e.time = ktime_ns();
	t->waits = 1;
	if (c)
		count(&c->kept);
	return 1;
}

#endif
