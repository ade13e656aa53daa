"""starts_at.py DIR: calls at a descriptor that mostly is no directory, with names in which "." and ".." lead on."""
import errno
import os
import shutil
import sys

os.chdir(sys.argv[1])
os.mkdir("s")
outside = sys.argv[2]


def put(name, text=None):
    with open(name, "w") as f:
        f.write(text or name)


def at(name, flags=os.O_RDWR, gone=False):
    if not os.path.lexists(name):
        put(name)
    fd = os.open(name, flags)
    if gone:
        os.unlink(name)
    return fd


def renamed():
    fd = at("s/r")
    os.rename("s/r", "s/r2")
    return fd


def link():
    if not os.path.islink("s/l"):
        os.symlink("x", "s/l")
    return os.open("s/l", os.O_PATH | os.O_NOFOLLOW)


def fifo():
    if not os.path.exists("s/f"):
        os.mkfifo("s/f")
    return os.open("s/f", os.O_RDWR)


def removed_directory():
    os.mkdir("s/d")
    fd = os.open("s/d", os.O_RDONLY)
    os.rmdir("s/d")
    return fd


def below_a_removed_one():
    os.mkdir("s/e")
    fd = at("s/e/g", gone=True)
    os.rmdir("s/e")
    return fd


STARTS = {
    "nameless": lambda: os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600),
    "file": lambda: at("s/n"),
    "removed": lambda: at("s/g", gone=True),
    "renamed": renamed,
    "path": lambda: at("s/p", os.O_PATH),
    "removed path": lambda: at("s/q", os.O_PATH, True),
    "link": link,
    "fifo": fifo,
    "removed directory": removed_directory,
    "below a removed one": below_a_removed_one,
    "outside": lambda: at(outside),
    "removed outside": lambda: at(outside, gone=True),
    "pipe": lambda: os.pipe()[0],
}
NAMES = ["x", "./x", "../x", "../s/x", "..", "../../t/x", ".", "s/../x", "/x/y"]
CALLS = {
    "unlink": lambda n, fd: os.unlink(n, dir_fd=fd),
    "create": lambda n, fd: os.close(os.open(n, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd)),
    "mkdir": lambda n, fd: os.mkdir(n, dir_fd=fd),
    "rename": lambda n, fd: os.rename(n, "moved", src_dir_fd=fd),
    "rename to": lambda n, fd: os.rename("src", n, dst_dir_fd=fd),
    "stat": lambda n, fd: os.stat(n, dir_fd=fd),
    "open": lambda n, fd: os.close(os.open(n, os.O_RDWR, dir_fd=fd)),
    "chmod": lambda n, fd: os.chmod(n, 0o640, dir_fd=fd),
    "link": lambda n, fd: os.link("src", n, dst_dir_fd=fd),
    "symlink": lambda n, fd: os.symlink("y", n, dir_fd=fd),
    "utime": lambda n, fd: os.utime(n, (5, 5), dir_fd=fd),
    "mkfifo": lambda n, fd: os.mkfifo(n, dir_fd=fd),
    "rmdir": lambda n, fd: os.rmdir(n, dir_fd=fd),
}


def cleared():
    for name in ("x", "s/x", "moved", "src", "s/d", "s/e"):
        if os.path.isdir(name):
            shutil.rmtree(name)
        elif os.path.lexists(name):
            os.unlink(name)
    for name in ("x", "s/x", "src"):
        put(name)


for start, opened in STARTS.items():
    for name in NAMES:
        # What it is itself a directory that is gone answers by its ".".
        if start == "removed directory" and name == ".":
            continue
        for call, run in CALLS.items():
            cleared()
            fd = opened()
            try:
                run(name, fd)
                said = "done"
            except OSError as e:
                said = errno.errorcode[e.errno]
            os.close(fd)
            print(start, name, call, said, sorted(os.listdir(".")), sorted(os.listdir("s")))
