/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The calls of x86_64 that change something, and where they have what they change. */
#ifndef MIRROR_CALLS_H
#define MIRROR_CALLS_H

#define CALL_NONE 0
#define CALL_FD0 1    /* a descriptor, argument 0 */
#define CALL_FD2 2    /* argument 2 */
#define CALL_OPENED 3 /* the descriptor that it returns */
#define CALL_NAME 4   /* paths: what they led to is known by the inodes touched meanwhile */
#define CALL_LOCK 5
#define CALL_IOCTL 6

#define CALLS 512

static const u8 CALL[CALLS] = {
	[1] = CALL_FD0,      /* write */
	[2] = CALL_OPENED,   /* open */
	[16] = CALL_IOCTL,   /* ioctl */
	[18] = CALL_FD0,     /* pwrite64 */
	[20] = CALL_FD0,     /* writev */
	[40] = CALL_FD0,     /* sendfile */
	[49] = CALL_NAME,    /* bind */
	[73] = CALL_LOCK,    /* flock */
	[76] = CALL_NAME,    /* truncate */
	[77] = CALL_FD0,     /* ftruncate */
	[82] = CALL_NAME,    /* rename */
	[83] = CALL_NAME,    /* mkdir */
	[84] = CALL_NAME,    /* rmdir */
	[85] = CALL_OPENED,  /* creat */
	[86] = CALL_NAME,    /* link */
	[87] = CALL_NAME,    /* unlink */
	[88] = CALL_NAME,    /* symlink */
	[90] = CALL_NAME,    /* chmod */
	[91] = CALL_FD0,     /* fchmod */
	[92] = CALL_NAME,    /* chown */
	[93] = CALL_FD0,     /* fchown */
	[94] = CALL_NAME,    /* lchown */
	[132] = CALL_NAME,   /* utime */
	[133] = CALL_NAME,   /* mknod */
	[188] = CALL_NAME,   /* setxattr */
	[189] = CALL_NAME,   /* lsetxattr */
	[190] = CALL_FD0,    /* fsetxattr */
	[197] = CALL_NAME,   /* removexattr */
	[198] = CALL_NAME,   /* lremovexattr */
	[199] = CALL_FD0,    /* fremovexattr */
	[235] = CALL_NAME,   /* utimes */
	[257] = CALL_OPENED, /* openat */
	[258] = CALL_NAME,   /* mkdirat */
	[259] = CALL_NAME,   /* mknodat */
	[260] = CALL_NAME,   /* fchownat */
	[261] = CALL_NAME,   /* futimesat */
	[263] = CALL_NAME,   /* unlinkat */
	[264] = CALL_NAME,   /* renameat */
	[265] = CALL_NAME,   /* linkat */
	[266] = CALL_NAME,   /* symlinkat */
	[268] = CALL_NAME,   /* fchmodat */
	[275] = CALL_FD2,    /* splice */
	[280] = CALL_NAME,   /* utimensat */
	[285] = CALL_FD0,    /* fallocate */
	[296] = CALL_FD0,    /* pwritev */
	[304] = CALL_OPENED, /* open_by_handle_at */
	[316] = CALL_NAME,   /* renameat2 */
	[326] = CALL_FD2,    /* copy_file_range */
	[328] = CALL_FD0,    /* pwritev2 */
	[437] = CALL_OPENED, /* openat2 */
	[452] = CALL_NAME,   /* fchmodat2 */
	[463] = CALL_NAME,   /* setxattrat */
	[466] = CALL_NAME,   /* removexattrat */
	[469] = CALL_NAME,   /* file_setattr */
};

/* Where the paths of a CALL_NAME stand: arguments + 1, 0: none. Low half the first, high half the second. */
static const u8 NAMES[CALLS] = {
	[49] = 0x02,
	[82] = 0x21, [83] = 0x01, [84] = 0x01, [86] = 0x21, [87] = 0x01, [88] = 0x02, [133] = 0x01,
	[258] = 0x02, [259] = 0x02, [263] = 0x02, [264] = 0x42, [265] = 0x42, [266] = 0x03, [316] = 0x42,
};

#define FICLONE 0x40049409u
#define FICLONERANGE 0x4020940du
#define FIDEDUPERANGE 0xc0189436u
#define FS_IOC_SETFLAGS 0x40086602u
#define FS_IOC_FSSETXATTR 0x401c5820u
#define FS_IOC_SETVERSION 0x40087602u
#define EXT4_IOC_SETVERSION 0x40086604u
#define FS_IOC_RESVSP 0x40305828u
#define FS_IOC_UNRESVSP 0x40305829u
#define FS_IOC_RESVSP64 0x4030582au
#define FS_IOC_UNRESVSP64 0x4030582bu
#define FS_IOC_ZERO_RANGE 0x40305839u

/* Whether an ioctl is one of those that are known to change something; their ends are told. */
INLINE int changes(u32 command)
{
	switch (command) {
	case FICLONE:
	case FICLONERANGE:
	case FIDEDUPERANGE:
	case FS_IOC_SETFLAGS:
	case FS_IOC_FSSETXATTR:
	case FS_IOC_SETVERSION:
	case EXT4_IOC_SETVERSION:
	case FS_IOC_RESVSP:
	case FS_IOC_UNRESVSP:
	case FS_IOC_RESVSP64:
	case FS_IOC_UNRESVSP64:
	case FS_IOC_ZERO_RANGE:
		return 1;
	}
	return 0;
}

#endif
