/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Descriptors to objects. Every call that changes something anywhere on the machine comes here, so most of
 * them are let go without a call of the kernel's helpers: what a table holds within itself the kernel knows by
 * its type, and reads as quickly as this program could. */
#ifndef MIRROR_OPEN_H
#define MIRROR_OPEN_H

/* What is known of a descriptor so far. */
struct seen {
	struct file *file;
	u64 dentry;
	u64 up;
	u64 hash; /* of its name and its directory */
	int place; /* as place_above says it; PLACE_NOT_ASKED */
};
#define PLACE_NOT_ASKED -3
#define PLACE_NONE -4 /* in no leg, and no other name of it either */

/* Where dentries lie, as it was found the last time. One of them is known again by its directory and by the
 * hash of its name there. */
struct verdict {
	u64 dentry;
	u64 up;
	u64 hash;
	u64 moves; /* as many names had been moved then, and one more */
	s64 place;
};
#define VERDICTS_MAX 1024
struct {
	UINT(type, MAP_PERCPU_ARRAY);
	TYPE(key, u32);
	TYPE(value, struct verdict);
	UINT(max_entries, VERDICTS_MAX);
} VERDICTS SEC(".maps");

/* A call of a helper costs more than all the rest: what lies side by side is read at once. */
INLINE void read_dentry(struct seen *seen)
{
	struct dentry *d = (struct dentry *)seen->dentry;
	u64 three[3] = {};
	u32 up = __builtin_preserve_field_info(d->d_parent, 0), name = __builtin_preserve_field_info(d->d_name, 0);
	if (name == up + 8) {
		READ(three, d->d_parent);
		seen->up = three[0];
		seen->hash = three[1];
	} else {
		READ(seen->up, d->d_parent);
		READ(seen->hash, d->d_name.hash_len);
	}
}

/* Whether what lies outside may have a name inside: a hard link. */
INLINE int elsewhere_too(struct setting *s, struct seen *seen)
{
	struct inode *inode = inode_of(seen->file);
	u32 links = 0;
	READ(links, inode->i_nlink);
	return links > 1 && of_leg(s, inode);
}

INLINE int place_again(struct setting *s, struct seen *seen)
{
	u32 slot = (u32)(seen->dentry >> 6 ^ seen->dentry >> 16) & (VERDICTS_MAX - 1);
	struct verdict *v = map_lookup(&VERDICTS, &slot);
	u64 moves = moves_made();
	if (v && v->dentry == seen->dentry && v->moves == moves && v->up == seen->up && v->hash == seen->hash) {
		int known = v->place;
		BARRIER;
		if (v->dentry == seen->dentry)
			return known;
	}
	int place = place_above(seen->dentry);
	if (place == -1 && !elsewhere_too(s, seen))
		place = PLACE_NONE;
	if (v) {
		/* Who is interrupted in here leaves what is nobody's. */
		v->dentry = 0;
		BARRIER;
		v->up = seen->up;
		v->hash = seen->hash;
		v->moves = moves;
		v->place = place;
		BARRIER;
		v->dentry = seen->dentry;
	}
	return place;
}

/* As place_above, for a dentry whose type the kernel knows, and that lies no deeper than most. */
#define NEAR 64
INLINE int place_of(struct setting *s, struct dentry *d)
{
	for (int i = 0; i < NEAR; i++) {
		u64 at = (u64)d;
		if (at == s->place[0])
			return 0;
		if (at == s->place[1])
			return 1;
		if (at == s->place[2] || at == s->place[3])
			return 2;
		struct dentry *up = d->d_parent;
		if (!up || (u64)up == at)
			return -1;
		d = up;
	}
	return -2;
}

#define F(n) \
	case n: \
		f = files->fd_array[n]; \
		break;
#define F8(n) F(n) F(n + 1) F(n + 2) F(n + 3) F(n + 4) F(n + 5) F(n + 6) F(n + 7)

/* Whether the descriptor is worth a further look; `seen` is what that needs. */
INLINE int look(struct setting *s, struct task_struct *task, u64 fd, u8 call, struct seen *seen)
{
	struct files_struct *files = task->files;
	if (!files)
		return 0;
	struct fdtable *table = files->fdt;
	if (!table || (u32)fd >= table->max_fds)
		return 0;
	struct file **slots = table->fd;
	if ((u64)slots == (u64)&files->fd_array[0]) {
		struct file *f = 0;
		switch ((u32)fd) {
			F8(0) F8(8) F8(16) F8(24) F8(32) F8(40) F8(48) F8(56)
		}
		if (!f)
			return 0;
		struct dentry *d = f->f_path.dentry;
		if (call == CALL_LOCK) {
			u64 up = (u64)d->d_parent;
			if (!s->learn && up != s->place[PLACE_LOCKS] && up != s->place[PLACE_LOCKS + 1])
				return 0;
		} else {
			u64 sb = (u64)f->f_inode->i_sb;
			if (sb != s->super[0] && sb != s->super[1])
				return 0;
			seen->place = place_of(s, d);
			if (seen->place == -2)
				seen->place = PLACE_NOT_ASKED;
			/* A hard link may have a name inside. */
			if (seen->place == 2 || (seen->place == -1 && f->f_inode->i_nlink < 2))
				return 0;
		}
	}
	struct file *f = 0;
	if (read_kernel(&f, sizeof(f), &slots[(u32)fd]) || !f || READ(seen->dentry, f->f_path.dentry))
		return 0;
	seen->file = f;
	read_dentry(seen);
	if (call == CALL_LOCK)
		return s->learn || seen->up == s->place[PLACE_LOCKS] || seen->up == s->place[PLACE_LOCKS + 1];
	if (seen->place == PLACE_NOT_ASKED)
		seen->place = place_again(s, seen);
	return seen->place != 2 && seen->place != PLACE_NONE;
}

#undef F
#undef F8
#endif
