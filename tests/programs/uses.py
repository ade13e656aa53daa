"""Cases of tests/uses.rs that need more than a shell: `uses.py NAME`, with V and S in the environment."""
import ctypes, errno, fcntl, mmap, os, select, shutil, socket, stat, struct, subprocess, sys, tempfile, threading

V, S = os.environ["V"], os.environ["S"]
LIBC = ctypes.CDLL(None, use_errno=True)


def err(call, *a, **k):
    """The call's result, or the name of its errno."""
    try:
        return call(*a, **k)
    except OSError as e:
        return errno.errorcode[e.errno]


def put(path, data=b"", mode=0o644):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)
    os.write(fd, data)
    os.close(fd)


def get(path):
    with open(path, "rb") as f:
        return f.read()


def longest_path():
    os.chdir(V)
    rest = 4095 - len(V) - 1
    while rest > 250:
        os.mkdir("d" * 200); os.chdir("d" * 200); rest -= 201
    print(err(put, "f", b"deep"), err(os.mkdir, "g"))
    full = V + ("/" + "d" * 200) * ((4095 - len(V) - 1 - rest) // 201)
    name = full + "/" + "n" * (4095 - len(full) - 1)
    print(len(name), err(put, name, b"x"), err(get, name), err(put, name + "n", b"x"), err(os.unlink, name), err(os.mkdir, name), err(os.rmdir, name))
    print(err(os.rename, "f", "h"), os.listdir(".") and sorted(os.listdir(".")))


def getcwd():
    print(os.getcwd(), os.path.realpath("."), os.readlink("/proc/self/cwd"))


def dirfds():
    os.chdir(S)
    v = os.open(V, os.O_RDONLY | os.O_DIRECTORY)
    p = os.open(V, os.O_PATH | os.O_DIRECTORY)
    os.mkdir("d", dir_fd=v); os.mkdir("e", dir_fd=p)
    d = os.open("d", os.O_RDONLY, dir_fd=v)
    f = os.open("f", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=d); os.write(f, b"in d"); os.close(f)
    f = os.open("../g", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=d); os.write(f, b"up"); os.close(f)
    os.rename("f", "moved", src_dir_fd=d, dst_dir_fd=v); os.link("moved", "hard", src_dir_fd=v, dst_dir_fd=d); os.symlink("moved", "sym", dir_fd=p)
    os.chmod("moved", 0o600, dir_fd=v); os.utime("moved", ns=(5, 7000000005), dir_fd=v); os.mkfifo("p", dir_fd=d); os.unlink("p", dir_fd=d)
    print(err(os.unlink, "none", dir_fd=v), err(os.mkdir, "x", dir_fd=999), err(os.rmdir, "d", dir_fd=v), err(os.open, "d", os.O_WRONLY, dir_fd=v))
    s = os.dup(d); os.mkdir("bydup", dir_fd=s); os.fchdir(s); put("byfchdir"); os.rmdir("bydup"); os.fchmod(d, 0o711); os.fsync(d)
    os.rename("byfchdir", "in_v", src_dir_fd=d, dst_dir_fd=v)
    os.rmdir("e", dir_fd=p); os.chdir(S); print(sorted(os.listdir(v)), sorted(os.listdir(d)), get(V + "/g"))


def dirfd_after_rename():
    os.chdir(V); os.mkdir("d"); os.mkdir("x")
    d = os.open("d", os.O_RDONLY)
    os.rename("d", "x/e"); os.mkdir("d")
    f = os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=d); os.write(f, b"1"); os.close(f)
    os.mkdir("sub", dir_fd=d); os.chdir("x/e"); os.rename(V + "/x", V + "/y"); put("incwd", b"2"); os.mkdir("m")
    print(sorted(os.listdir(V + "/y/e")), os.listdir(V + "/d"), os.getcwd())
    shutil.rmtree(V + "/y"); print(err(os.mkdir, "gone"), err(put, "gone"), err(os.open, "z", os.O_CREAT, dir_fd=d))


def appenders():
    os.chdir(V)
    fds = [os.open("g", os.O_CREAT | os.O_WRONLY | os.O_APPEND) for _ in range(5)]
    for i in range(50):
        os.write(fds[i % 5], b"%d\n" % i)
        if i % 10 == 9: os.pwrite(fds[0], b"end\n", 0)
    print(os.lseek(fds[0], 0, 1), os.lseek(fds[3], 0, 1), len(get("g")))
    fl = fcntl.fcntl(fds[0], fcntl.F_GETFL); fcntl.fcntl(fds[0], fcntl.F_SETFL, fl & ~os.O_APPEND); os.lseek(fds[0], 0, 0); os.write(fds[0], b"START")
    fcntl.fcntl(fds[0], fcntl.F_SETFL, fl); os.write(fds[0], b"tail"); print(get("g")[:8], get("g")[-8:])


def numbers():
    os.chdir(V)
    a = os.open("a", os.O_CREAT | os.O_RDWR); b = os.open("b", os.O_CREAT | os.O_RDWR); os.close(a)
    c = os.open("c", os.O_CREAT | os.O_RDWR); d = os.open(".", os.O_RDONLY); print(a, b, c, d, os.dup(b), max(map(int, os.listdir("/proc/self/fd"))))
    print(err(os.write, 4096 + b, b"x"), err(os.close, 4096 + b), err(os.dup2, b, 200), os.write(200, b"two hundred"), err(os.read, 5000, 1))
    print([len(os.pipe()), socket.socket().close()], err(fcntl.fcntl, b, fcntl.F_GETFD), fcntl.fcntl(b, fcntl.F_GETFL) & 3, os.get_inheritable(b), os.set_inheritable(b, True), os.get_inheritable(b))


def unlinked():
    os.chdir(V)
    with tempfile.TemporaryFile(dir=V) as f: f.write(b"x" * 10000); f.flush(); f.seek(0); print(len(f.read()), os.fstat(f.fileno()).st_nlink); os.ftruncate(f.fileno(), 5); os.fchmod(f.fileno(), 0o600)
    put("k", b"keep"); fd = os.open("k", os.O_RDWR); os.link("k", "l"); os.unlink("k"); os.write(fd, b"K"); os.fchmod(fd, 0o640); os.close(fd); print(get("l"), oct(os.stat("l").st_mode))
    os.mkdir("d"); fd = os.open("d", os.O_RDONLY); os.rmdir("d"); print(err(os.mkdir, "x", dir_fd=fd), os.listdir(fd), os.listdir("."))


def shared_position():
    os.chdir(V); put("f", b"0123456789" * 10)
    fd = os.open("f", os.O_RDWR); print(os.read(fd, 3), os.write(fd, b"AB"), os.read(fd, 3), os.write(fd, b"C"), os.lseek(fd, 0, 1))
    if os.fork() == 0: os.write(fd, b"child"); os.read(fd, 2); os._exit(0)
    os.wait(); print(os.lseek(fd, 0, 1), os.write(fd, b"parent"), os.read(fd, 4)); d = os.dup(fd); os.lseek(d, 50, 0); os.write(fd, b"fifty"); print(get("f"))


def positions():
    os.chdir(V); fd = os.open("f", os.O_CREAT | os.O_RDWR)
    print(os.lseek(fd, 100, 0), os.write(fd, b"x"), os.lseek(fd, -1, 1), os.write(fd, b"yz"), os.lseek(fd, 10, 2), os.write(fd, b"end"), err(os.lseek, fd, -5, 0))
    print(os.pwrite(fd, b"at0", 0), os.lseek(fd, 0, 1), err(os.pwrite, fd, b"x", -1), os.ftruncate(fd, 50), os.write(fd, b"past"), os.fstat(fd).st_size, os.lseek(fd, 0, os.SEEK_DATA), os.write(fd, b""))
    print(get("f"))


def vectors():
    os.chdir(V); fd = os.open("f", os.O_CREAT | os.O_RDWR)
    print(os.writev(fd, [b"a" * 100, b"", b"b" * 5000]), os.pwritev(fd, [b"12", b"34"], 50), os.pwritev(fd, [b"ap"], 0, os.RWF_APPEND if hasattr(os, "RWF_APPEND") else 0), os.pwritev(fd, [b"s"], 7, os.RWF_SYNC), os.lseek(fd, 0, 1))
    print(os.writev(fd, [bytes([i]) for i in range(200)]), err(os.pwritev, fd, [b"x"], -3), len(get("f")), os.write(fd, b"z" * (3 << 20)), os.fstat(fd).st_size)


def sync_flags():
    os.chdir(V); fd = os.open("f", os.O_CREAT | os.O_WRONLY | os.O_SYNC); print(os.write(fd, b"sync"), os.fsync(fd), os.fdatasync(fd), os.posix_fadvise(fd, 0, 0, 4)); os.close(fd)
    try: fd = os.open("d", os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
    except OSError: fd = os.open("d", os.O_CREAT | os.O_WRONLY)
    m = mmap.mmap(-1, 8192); m.write(b"q" * 8192); print(os.write(fd, m)); os.close(fd); fd = os.open(".", os.O_RDONLY); os.fsync(fd); print(LIBC.syncfs(fd)); os.sync()


def copy_calls():
    os.chdir(V); put("src", b"data" * 50000); s = os.open("src", os.O_RDONLY); r, w = os.pipe(); os.write(w, b"pipe" * 1000)
    d = os.open("dst", os.O_CREAT | os.O_RDWR)
    def fall(call, back):
        try: return call()
        except OSError as e: return back() if e.errno in (errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP) else errno.errorcode[e.errno]
    print(fall(lambda: os.sendfile(d, s, 0, 1000), lambda: os.write(d, get("src")[:1000])), fall(lambda: os.copy_file_range(s, d, 1000, 2000, 5000), lambda: os.pwrite(d, get("src")[2000:3000], 5000)), fall(lambda: os.splice(r, d, 4000, offset_dst=9000), lambda: os.pwrite(d, os.read(r, 4000), 9000)))
    shutil.copyfile("src", "copy"); subprocess.run(["cp", "--reflink=auto", "src", "cp"]); subprocess.run(["cp", "src", S + "/out"]); subprocess.run(["cp", S + "/out", "back"]); os.unlink(S + "/out"); print(os.fstat(d).st_size, get("dst")[9000:9004], get("copy") == get("cp") == get("back"))


def scm_rights():
    os.chdir(V); a, b = socket.socketpair(); fd = os.open("f", os.O_CREAT | os.O_WRONLY)
    if os.fork() == 0: a.close(); m, f, *_ = socket.recv_fds(b, 9, 1); os.write(f[0], b"received\n"); os.write(f[0], b"twice\n"); os._exit(0)
    socket.send_fds(a, [b"x"], [fd]); os.wait(); os.write(fd, b"sender\n"); print(get("f"))


def entry_errors():
    os.chdir(V); put("f", b"x"); os.mkdir("d"); put("d/g"); os.symlink("none", "dang")
    cases = [(os.mkdir, "f"), (os.mkdir, "f/x"), (os.mkdir, "none/x"), (os.rmdir, "f"), (os.rmdir, "d"), (os.rmdir, "none"), (os.unlink, "d"), (os.unlink, "none"), (os.unlink, "f/x"), (os.mkdir, ""), (os.mkdir, "."), (os.rmdir, "."), (os.rmdir, "d/.."), (os.rmdir, "d/."), (os.unlink, ""), (os.mkdir, "dang"), (os.mkdir, "n" * 256)]
    print([err(*c) for c in cases])
    two = [("none", "x"), ("f", "d"), ("d", "f"), ("d", "d/e"), ("f", "none/x"), ("f", "f"), ("d", "."), ("f", ""), ("f", "f/x"), ("dang", "d/dang")]
    print([err(os.rename, *c) for c in two], [err(os.link, *c) for c in two], [err(os.symlink, "t", c) for c in ("f", "d", "none/x", "", "n" * 300, "ok")], err(os.symlink, "", "e"), err(os.symlink, "t" * 5000, "e"))
    o = [("f", os.O_CREAT | os.O_EXCL), ("d", os.O_WRONLY), ("d", os.O_CREAT | os.O_WRONLY), ("f/", os.O_WRONLY), ("new/", os.O_CREAT | os.O_WRONLY), ("none", os.O_WRONLY), ("f", os.O_DIRECTORY | os.O_RDWR), ("dang", os.O_CREAT | os.O_EXCL | os.O_WRONLY), ("dang", os.O_WRONLY | os.O_NOFOLLOW), ("d/g/h", os.O_CREAT | os.O_WRONLY), ("", os.O_CREAT | os.O_WRONLY)]
    print([err(os.open, p, fl | 0, 0o644) for p, fl in o]); print([err(os.truncate, p, 5) for p in ("d", "none", "f")], err(os.truncate, "f", -1), err(os.chmod, "none", 0o600), err(os.utime, "dang"), err(os.readlink, "f"), err(os.setxattr, "none", "user.a", b""))
    print(sorted(os.listdir(".")))


def odd_parents():
    os.chdir(V); put("f", b"x"); os.symlink("none", "dang"); os.symlink("f", "tof"); os.symlink("loop", "loop"); os.mkdir("d"); os.symlink("d", "tod"); os.symlink("tod", "totod")
    for p in ("dang/x", "tof/x", "loop/x", "f/x", "none/x", "none/none/x", "tod/x", "totod/y", "", "."):
        print(p, err(os.rename, "f", p), err(os.rename, p, "f"), err(os.link, "f", p), err(os.link, p, "q"), err(os.mkdir, p), err(os.rmdir, p), err(os.unlink, p), err(os.symlink, "t", p), err(put, p), err(os.truncate, p, 3), err(os.chmod, p, 0o711), err(os.utime, p, (1, 1)))
    print(sorted(os.listdir(".")), sorted(os.listdir("d")))


def cross_rename():
    os.chdir(V); put("in"); put(S + "/out"); os.mkdir("dir"); r = [err(os.rename, "in", S + "/in"), err(os.rename, S + "/out", "out"), err(os.rename, "dir", S + "/dir"), err(os.link, "in" if os.path.exists("in") else "out", S + "/hard")]
    # The same file system natively; EXDEV is what a mirror may answer, and then nothing has changed.
    print(all(x in (None, "EXDEV") for x in r))
    for d in (V, S):
        for n in ("in", "out", "hard"):
            if os.path.exists(d + "/" + n): os.unlink(d + "/" + n)
        if os.path.isdir(d + "/dir"): os.rmdir(d + "/dir")


def roots():
    # Natively only a mount point gives EBUSY: the answer is checked in the mirrored run alone.
    if "B" in os.environ:
        for p in dict.fromkeys((V, os.environ["A"], os.environ["B"])):
            for r in (err(os.rmdir, p), err(os.rename, p, p + "2"), err(os.rename, S, p)):
                assert r in ("EBUSY", "EXDEV", "ENOTDIR", "ENOTEMPTY"), (p, r)
            assert os.path.isdir(p) and not os.path.exists(p + "2"), p
            assert err(os.rmdir, p) == "EBUSY" and err(os.rename, p, p + "2") == "EBUSY" and err(os.unlink, p) in ("EBUSY", "EISDIR"), (p, err(os.rmdir, p), err(os.rename, p, p + "2"), err(os.unlink, p))
        os.chdir(V); assert err(os.rmdir, ".") == "EINVAL" and err(os.rmdir, "../" + os.path.basename(os.getcwd())) == "EBUSY"
        put("x"); p = subprocess.run(["rm", "-rf", V + "/"], capture_output=True); assert p.returncode == 1 and b"busy" in p.stderr, p; assert os.listdir(V) == []
    print("ok")


def unix_socket():
    os.chdir(V); s = socket.socket(socket.AF_UNIX); s.bind("sock"); s.listen(1)
    if os.fork() == 0: c = socket.socket(socket.AF_UNIX); c.connect(V + "/sock"); c.send(b"hi"); print(c.getpeername().split("/")[-1], flush=True); os._exit(0)
    c, _ = s.accept(); print(c.recv(9), stat.S_ISSOCK(os.stat("sock").st_mode)); os.wait(); print(err(socket.socket(socket.AF_UNIX).bind, "sock")); os.chmod("sock", 0o600); os.rename("sock", "s2")
    d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); d.bind(V + "/dg"); os.unlink("dg"); print(sorted(os.listdir(".")))


def modes():
    os.chdir(V); put("f"); os.mkdir("d"); fd = os.open("f", os.O_RDONLY); w = os.open("f", os.O_WRONLY); d = os.open("d", os.O_RDONLY)
    r = []
    for m in (0o640, 0o4711, 0o2755, 0o1777, 0): os.chmod("f", m); os.chmod("d", m | 0o700); r.append((oct(os.stat("f").st_mode), oct(os.stat("d").st_mode)))
    os.fchmod(fd, 0o604); r.append(oct(os.stat("f").st_mode)); os.fchmod(w, 0o606); os.fchmod(d, 0o755); os.chmod(f"/proc/self/fd/{fd}", 0o611); r.append(oct(os.stat("f").st_mode)); os.symlink("f", "l"); os.chmod("l", 0o622); r.append(err(os.chmod, "none", 1)); r.append(oct(os.stat("f").st_mode))
    put("s", b"x", 0o4755); os.chmod("s", 0o4755); p = os.open("s", os.O_WRONLY); os.write(p, b"y"); r.append(oct(os.stat("s").st_mode)); r.append(err(os.fchmod, os.open("f", os.O_PATH), 0o600)); print(r)


def owners():
    os.chdir(V); put("f"); os.symlink("f", "l"); os.mkdir("d"); fd = os.open("f", os.O_RDONLY); g = os.getgroups()[-1] if os.getgroups() else os.getgid(); root = os.geteuid() == 0
    a, b = (1, 2) if root else (-1, g)
    print(err(os.chown, "f", a, b), err(os.lchown, "l", a, b), err(os.chown, "d", -1, b), err(os.fchown, fd, a, b), err(os.chown, "l", -1, b), err(os.chown, "none", a, b), err(os.chown, "f", 12345, -1) if not root else None)
    s = [os.lstat(n) for n in ("f", "l", "d")]; print([(x.st_uid == a, x.st_gid == b) for x in s]); put("s", b"", 0o4755); os.chmod("s", 0o6755); os.chown("s", -1, b); print(oct(os.stat("s").st_mode))


def times():
    os.chdir(V); put("f"); os.symlink("f", "l"); fd = os.open("f", os.O_RDONLY); w = os.open("f", os.O_WRONLY)
    r = []
    def t(): r.append(os.stat("f").st_mtime_ns)
    os.utime("f", ns=(1, 1234567890123456789)); t(); os.utime(fd, ns=(2, 987654321000000001)); t(); os.utime(w, ns=(2, 7)); t(); os.utime("l", ns=(3, 5)); t(); os.utime("l", ns=(3, 99), follow_symlinks=False); r.append(os.lstat("l").st_mtime_ns); t(); os.utime("f"); os.utime("f", (10, 20)); t()
    os.mkdir("d"); os.utime("d", ns=(1, 2)); r.append(os.stat("d").st_mtime_ns); shutil.copystat("f", "d"); r.append(os.stat("d").st_mtime_ns); os.write(w, b"later"); os.utime(w, ns=(4, 4)); os.close(w); t(); print(r, err(os.utime, "none"), err(os.utime, 999))


def xattrs():
    os.chdir(V); put("f"); os.mkdir("d"); fd = os.open("f", os.O_RDONLY); r = []
    r += [err(os.setxattr, "f", "user.a", b"1"), err(os.setxattr, fd, "user.b", b"\0\xff" * 100), err(os.setxattr, "d", "user.c", b""), err(os.setxattr, "f", "user.a", b"2", os.XATTR_CREATE), err(os.setxattr, "f", "user.z", b"2", os.XATTR_REPLACE), err(os.setxattr, "f", "user.a", b"3", os.XATTR_REPLACE), err(os.setxattr, "f", "bad", b"")]
    os.symlink("f", "l"); r += [err(os.setxattr, "l", "user.vial", b"x"), err(os.setxattr, "l", "user.no", b"x", 0, follow_symlinks=False), err(os.removexattr, "f", "user.none"), err(os.removexattr, fd, "user.b"), sorted(err(os.listxattr, "f")), err(os.getxattr, "f", "user.a"), err(os.listxattr, "d")]
    put("g"); shutil.copystat("f", "g"); r.append(sorted(err(os.listxattr, "g"))); print(r)


def dlopen():
    os.chdir(V); src = [l.split()[-1] for l in open("/proc/self/maps") if "/libm.so" in l or "/libm-" in l]
    import ctypes.util
    p = subprocess.run(["sh", "-c", "ldconfig -p 2>/dev/null | awk '/libm.so.6/ {print $NF; exit}'"], capture_output=True, text=True).stdout.strip() or (src[0] if src else "")
    if p: shutil.copy(p, "mylib.so"); print(ctypes.CDLL(V + "/mylib.so").abs(-4)); os.unlink("mylib.so")


def locks():
    os.chdir(V); put("f", b"x" * 100); a = os.open("f", os.O_RDWR); b = os.open("f", os.O_RDWR); nb = fcntl.LOCK_NB
    print(err(fcntl.flock, a, fcntl.LOCK_EX), err(fcntl.flock, b, fcntl.LOCK_EX | nb), err(fcntl.flock, a, fcntl.LOCK_UN), err(fcntl.flock, b, fcntl.LOCK_SH | nb), err(fcntl.flock, a, fcntl.LOCK_SH | nb), err(fcntl.flock, a, fcntl.LOCK_EX | nb))
    fcntl.lockf(a, fcntl.LOCK_EX, 10, 0); os.write(b, b"y"); os.truncate("f", 90); os.chmod("f", 0o600)
    def child(call):
        p = os.fork()
        if p == 0:
            fd = os.open("f", os.O_RDWR); os._exit({None: 0, "EAGAIN": 1, "EACCES": 1}.get(err(call, fd), 2))
        return os.waitstatus_to_exitcode(os.waitpid(p, 0)[1])
    print(child(lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX | nb, 5, 0)), child(lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX | nb, 5, 20)), child(lambda fd: fcntl.flock(fd, fcntl.LOCK_EX | nb)))
    fcntl.lockf(a, fcntl.LOCK_UN, 10, 0); print(child(lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX | nb, 5, 0)))
    ofd = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0); print(err(fcntl.fcntl, a, 37, ofd) == ofd, err(fcntl.fcntl, b, 37, ofd)); os.close(a); print(err(fcntl.fcntl, b, 37, ofd) == ofd)
    # A change through another descriptor must not drop the fcntl lock of this process.
    c = os.open("g", os.O_CREAT | os.O_RDWR); fcntl.lockf(c, fcntl.LOCK_EX); os.truncate("g", 7); os.utime("g"); os.link("g", "h"); os.rename("h", "i"); print(child2("g"))


def child2(name):
    p = os.fork()
    if p == 0:
        fd = os.open(name, os.O_RDWR); os._exit(1 if err(fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB) in ("EAGAIN", "EACCES") else 0)
    return os.waitstatus_to_exitcode(os.waitpid(p, 0)[1])


def vfork():
    os.chdir(V); os.mkdir("d"); put("here")
    for i in range(5): subprocess.run(["sh", "-c", "echo x >> rel"], cwd="/" if i % 2 else V + "/d", stderr=subprocess.DEVNULL); put("rel%d" % i, b"parent"); os.rename("rel%d" % i, "d/rel%d" % i)
    if os.path.exists("/rel"): os.unlink("/rel")
    subprocess.run(["sh", "-c", "echo y > fromd"], cwd="d"); put("after", b"a"); print(os.getcwd(), sorted(os.listdir(".")), sorted(os.listdir("d")))


def signals():
    import signal
    os.chdir(V); got = []
    signal.signal(signal.SIGUSR1, lambda *a: got.append("usr1"))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]); put("f", b"x"); print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
    for i in range(50): os.kill(os.getpid(), signal.SIGUSR1); put("f", b"y")
    print(len(got), subprocess.run(["grep", "SigBlk", "/proc/self/status"], capture_output=True).stdout, subprocess.run(["sh", "-c", "kill -TERM $$; echo survived"]).returncode)
    p = subprocess.Popen(["sleep", "20"]); p.terminate(); print(p.wait()); signal.setitimer(signal.ITIMER_REAL, 0.05); signal.signal(signal.SIGALRM, lambda *a: got.append("alarm"))
    while "alarm" not in got: os.write(os.open("g", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), b"z"); os.closerange(10, 200)
    print(sorted(os.listdir(".")))


def inotify():
    os.chdir(V); fd = LIBC.inotify_init1(os.O_NONBLOCK); print(fd >= 0 and LIBC.inotify_add_watch(fd, b".", 0xfff) >= 0)
    put("f", b"x"); os.rename("f", "g"); os.unlink("g"); os.mkdir("d")
    data = os.read(fd, 65536); n, seen = 0, []
    while n < len(data): _, mask, _, l = struct.unpack_from("iIII", data, n); seen.append((mask & 0x3c2, data[n + 16:n + 16 + l].rstrip(b"\0"))); n += 16 + l
    print([s for s in seen if s[0]])


def statvfs():
    s = os.statvfs(V); fd = os.open(V, os.O_RDONLY); t = os.fstatvfs(fd); print(s.f_bsize == t.f_bsize, s.f_namemax, s.f_blocks > 0)


def directories():
    os.chdir(V)
    for i in range(500): put("f%03d" % i)
    d = os.open(".", os.O_RDONLY); print(len(os.listdir(d)), len(os.listdir(d)), len(os.listdir(V)))
    with os.scandir(".") as it:
        n = 0
        for e in it: os.unlink(e.name); n += 1
    print(n, os.listdir("."), sorted(os.listdir(V + "/..")) and "up")
    for n in (".mirror", ".mirror/leg", "./.mirror", V + "/.mirror", "x/../.mirror"): print(os.path.exists(n), err(os.open, n, os.O_RDONLY), err(os.rename, n, "x"), err(os.listdir, n), err(os.chdir, n))
    os.mkdir("sub"); os.mkdir("sub/.mirror"); put("sub/.mirror/f", b"an ordinary name below"); print(os.listdir("sub"), os.listdir("sub/.mirror"))


def read_mapping():
    os.chdir(V); put("f", b"mapped" * 1000); fd = os.open("f", os.O_RDWR); m = mmap.mmap(fd, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ); p = mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE)
    os.pwrite(fd, b"CHANGED", 6); print(m[:13]); p[0:7] = b"private"; print(get("f")[:7], p[:7]); os.unlink("f"); print(m[6:13])


def threads():
    os.chdir(V)
    def work(i):
        os.mkdir(f"d{i}")
        for k in range(20): put(f"d{i}/f{k}", b"%d" % k); os.rename(f"d{i}/f{k}", f"d{i}/g{k}")
        for k in range(0, 20, 2): os.unlink(f"d{i}/g{k}")
        with open("shared", "ab", 0) as f: f.write(b"thread\n")
    ts = [threading.Thread(target=work, args=(i,)) for i in range(8)]; [t.start() for t in ts]; [t.join() for t in ts]; print(len(get("shared")), sum(len(os.listdir(f"d{i}")) for i in range(8)))


globals()[sys.argv[1]]()
