# What several users do to each other's files: `users.py CASE WHO…`, as root. Prints each call's result. What it prints
# and leaves is the same in a plain directory.
import ctypes, errno, os, stat, sys

V = os.environ["V"]
GROUP = 61100
USERS = {"root": 0, "ann": 61001, "ben": 61002}
libc = ctypes.CDLL(None, use_errno=True)


def say(who, what, call, *args, **kw):
    try:
        r = call(*args, **kw)
        if isinstance(r, os.stat_result):
            r = (stat.filemode(r.st_mode), r.st_uid, r.st_gid, r.st_size, r.st_nlink)
        if isinstance(r, int) and call is os.open:
            r = "opened"
    except OSError as e:
        r = errno.errorcode.get(e.errno, e.errno)
    print(who, what, *[a for a in args if isinstance(a, str)], "->", r, flush=True)


def write(path, flags=os.O_WRONLY | os.O_APPEND):
    f = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        return os.write(f, b"line\n")
    finally:
        os.close(f)


def attributes(path):
    f = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(f, 0o604)
        os.utime(f, (5, 6))
    finally:
        os.close(f)


# In folders of each kind, on files of everybody.
FOLDERS = {"open": 0o777, "sticky": 0o1777, "setgid": 0o2777, "closed": 0o755, "hidden": 0o700}


def everything(who):
    say(who, "umask", os.umask, 0o022)
    for folder in FOLDERS:
        mine = f"{folder}/{who}"
        say(who, "mkdir", os.mkdir, mine + ".d")
        say(who, "mkdir", os.mkdir, mine + ".d/e", 0o2775)
        say(who, "make", write, mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        say(who, "make", write, mine + ".all", os.O_WRONLY | os.O_CREAT)
        say(who, "chmod", os.chmod, mine + ".all", 0o666)
        say(who, "symlink", os.symlink, "nowhere", mine + ".l")
        say(who, "mkfifo", os.mkfifo, mine + ".p", 0o600)
        say(who, "give", os.chown, mine, 61003, 61003)
        say(who, "group", os.chown, mine + ".d", -1, GROUP)
        for other in USERS:
            theirs = f"{folder}/{other}"
            if other == who:
                continue
            say(who, "append", write, theirs)
            say(who, "append", write, theirs + ".all")
            say(who, "creat", write, theirs + ".all", os.O_WRONLY | os.O_CREAT)
            say(who, "truncate", os.truncate, theirs + ".all", 3)
            say(who, "truncate", os.truncate, theirs, 3)
            say(who, "chmod", os.chmod, theirs + ".all", 0o606)
            say(who, "fchmod", attributes, theirs + ".all")
            say(who, "utime", os.utime, theirs + ".all", (7, 8))
            say(who, "now", os.utime, theirs + ".all")
            say(who, "chown", os.chown, theirs, USERS.get(who), -1)
            say(who, "xattr", os.setxattr, theirs + ".all", "user.x", who.encode())
            say(who, "link", os.link, theirs + ".all", f"{mine}.of.{other}")
            say(who, "rename", os.rename, theirs + ".l", f"{mine}.l.{other}")
            say(who, "rename", os.rename, mine + ".all", theirs)
            say(who, "make", write, mine + ".all", os.O_WRONLY | os.O_CREAT)
            say(who, "chmod", os.chmod, mine + ".all", 0o666)
            say(who, "rmdir", os.rmdir, theirs + ".d/e")
            say(who, "into", os.rename, mine + ".d/e", theirs + ".d/f")
            say(who, "unlink", os.unlink, theirs + ".p")
            say(who, "stat", os.lstat, theirs)
        say(who, "stat", os.lstat, mine)
        say(who, "stat", os.lstat, mine + ".all")


def become(who):
    uid = USERS[who]
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def child(act, *args):
    pid = os.fork()
    if not pid:
        code = 1
        try:
            act(*args)
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def folders():
    os.umask(0)
    for folder, mode in FOLDERS.items():
        os.mkdir(folder, mode)
        os.chown(folder, USERS["ann"] if folder == "closed" else 0, GROUP)
        os.chmod(folder, mode)


def as_(who):
    become(who)
    everything(who)


def drops(who):
    """A server changes users, for good and for a while, in all the ways."""
    uid = USERS[who]
    say("root", "mkdir", os.mkdir, f"spool.{who}", 0o755)
    say("root", "chown", os.chown, f"spool.{who}", uid, uid)
    os.setegid(uid)
    os.seteuid(uid)
    say(who, "spool", write, f"spool.{who}/euid", os.O_WRONLY | os.O_CREAT)
    say(who, "root's", write, "of-root", os.O_WRONLY | os.O_CREAT)
    os.seteuid(0)
    os.setegid(0)
    say("root", "again", write, "of-root", os.O_WRONLY | os.O_CREAT)
    libc.setfsgid(uid)
    libc.setfsuid(uid)
    say(who, "spool", write, f"spool.{who}/fsuid", os.O_WRONLY | os.O_CREAT)
    say(who, "mkdir", os.mkdir, f"spool.{who}/fsuid.d")
    say(who, "root's", write, "of-root")
    libc.setfsuid(0)
    libc.setfsgid(0)
    f = os.open(f"spool.{who}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.fchown(f, uid, uid)
    become(who)
    os.write(f, b"after\n")
    child(everything, who)
    say(who, "rename", os.rename, f"spool.{who}/euid", f"spool.{who}/renamed")
    say(who, "sh", os.system, f"umask; echo sh >> spool.{who}/sh; rm spool.{who}/fsuid; echo no >> of-root; id -u")
    say(who, "stat", os.lstat, f"spool.{who}/fsuid")
    say(who, "stat", os.lstat, f"spool.{who}/log")


def untouched(who):
    """Who has touched nothing before."""
    become(who)
    say(who, "make", write, f"open/late.{who}", os.O_WRONLY | os.O_CREAT)
    say(who, "append", write, "open/root.all")
    say(who, "root's", write, "of-root")


os.chdir(V)
case, rest = sys.argv[1], sys.argv[2:]
if case == "folders":
    folders()
else:
    for who in rest:
        child({"as": as_, "drops": drops, "untouched": untouched}[case], who)
