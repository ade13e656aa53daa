# What a program that has changed V can see of itself; `same`: what must be as natively; `other`: what need not be.
import ctypes, os, resource, signal, stat, subprocess, sys

def status(*names):
    lines = dict(l.rstrip("\n").split(":", 1) for l in open("/proc/self/status"))
    return [(n, lines[n].split()) for n in names if n in lines]

os.chdir(os.environ["V"])
f = open("f", "w"); f.write("x"); f.flush(); os.mkdir("d"); os.link("f", "g"); r = open("f")
if sys.argv[1] == "same":
    print(sorted(os.listdir("/proc/self/fd"), key=int)[:-1], sorted(os.listdir("/proc/self/fdinfo"), key=int)[:-1])
    print(sorted(k for k in os.environ if k not in ("A", "B", "LD_PRELOAD")))
    print(status("SigBlk", "SigPnd", "Threads", "TracerPid", "Seccomp", "NoNewPrivs", "Uid", "Gid", "Groups", "CapEff", "Umask"))
    print([(n, resource.getrlimit(getattr(resource, n))) for n in dir(resource) if n.startswith("RLIMIT_") and n not in ("RLIMIT_NOFILE", "RLIMIT_OFILE")])
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[1], os.listdir("/proc/self/task").__len__())
    print(os.path.basename(os.readlink("/proc/self/exe")), os.path.basename(sys.executable), sys.argv[0].endswith("seen.py"))
    print(open("/proc/self/cmdline").read().count("mirror"), open("/proc/self/comm").read())
    s = os.stat("f"); print(s.st_nlink, oct(s.st_mode), s.st_size, s.st_dev == os.stat(".").st_dev == os.stat("..").st_dev, os.stat("d").st_nlink)
    print(os.fstat(f.fileno()).st_ino == s.st_ino == os.stat("/proc/self/fd/%d" % f.fileno()).st_ino, os.path.samefile("/proc/self/cwd", "."))
    print(os.path.basename(os.readlink("/proc/self/fd/%d" % f.fileno())), [l for l in open("/proc/self/fdinfo/%d" % f.fileno()) if l.startswith(("pos", "flags"))])
    print(f.fileno(), os.open("g", os.O_RDWR), os.dup(0), sorted(os.listdir(".")), os.statvfs(".").f_namemax)
    print(signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getsignal(signal.SIGSYS), signal.getitimer(signal.ITIMER_REAL), os.getpriority(os.PRIO_PROCESS, 0))
    print(subprocess.run(["sh", "-c", "env | cut -d= -f1 | grep -v '^[AB_]$\\|LD_PRELOAD' | sort | tr '\\n' ' '; ls /proc/self/fd | wc -l; ulimit -f; umask"], capture_output=True, text=True).stdout)
    try: print(os.waitpid(-1, os.WNOHANG))
    except OSError as e: print(e.errno)
else:
    maps = set(os.path.basename(l.split(maxsplit=5)[5].strip()) for l in open("/proc/self/maps") if len(l.split()) > 5)
    print("library", "libmirror.so" in maps)
    print("image", any(m.endswith(".text") for m in maps))
    print("soft limit", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    print("names of V", os.stat(".").st_nlink - 2)
    print("library's numbers", sum(1 for n in range(4032, 9000) if os.path.exists("/proc/self/fd/%d" % n)) > 0)
