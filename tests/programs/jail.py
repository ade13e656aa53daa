"""jail.py CASE ROOT: changes under $V by a process that changes its root first. Prints what each call said."""
import errno, os, sys, stat

V, case, root = os.environ['V'], sys.argv[1], sys.argv[2]
rel = os.path.relpath(V, root)
# V's name below the new root; a root inside V has the rest only.
inside = '/' if rel.startswith('..') or rel == '.' else '/' + rel + '/'


def say(what, call):
    try:
        r = call()
        print(what, 'ok' if r is None or not isinstance(r, (int, str)) else r)
        return r
    except OSError as e:
        print(what, errno.errorcode[e.errno])


def put(name, text, dir_fd=None, flags=os.O_WRONLY | os.O_CREAT):
    f = os.open(name, flags, 0o644, dir_fd=dir_fd)
    os.write(f, text.encode())
    os.fchmod(f, 0o640)
    os.close(f)


def work(tag):
    n = inside + tag
    say('mkdir', lambda: os.mkdir(n))
    say('put', lambda: put(n + '/f', 'one'))
    say('append', lambda: put(n + '/f', 'two', flags=os.O_WRONLY | os.O_APPEND))
    say('rename', lambda: os.rename(n + '/f', n + '/g'))
    say('link', lambda: os.link(n + '/g', n + '/h'))
    say('unlink', lambda: os.unlink(n + '/g'))
    say('symlink', lambda: os.symlink('h', n + '/l'))
    say('through', lambda: put(n + '/l', '3', flags=os.O_WRONLY))
    say('missing', lambda: os.unlink(n + '/none'))
    say('not a directory', lambda: put(n + '/h/x', ''))
    say('rmdir', lambda: os.rmdir(n))
    say('chdir', lambda: os.chdir(n))
    say('relative', lambda: put('r', 'r'))
    say('up', lambda: put('../' + tag + '/r2', 'r'))
    say('chmod', lambda: os.chmod('r', 0o600))
    d = os.open('.', os.O_RDONLY | os.O_DIRECTORY)
    os.chdir('/')
    say('dirfd', lambda: put('d', 'd', dir_fd=d))
    say('dirfd mkdir', lambda: os.mkdir('sub', dir_fd=d))
    say('dirfd rename', lambda: os.rename('d', 'sub/d', src_dir_fd=d, dst_dir_fd=d))
    say('dirfd unlink', lambda: os.unlink('r2', dir_fd=d))
    say('utime', lambda: os.utime(n + '/r', ns=(5, 5)))
    f = os.open(n + '/sub/d', os.O_RDONLY)
    say('fchmod', lambda: os.fchmod(f, 0o604))
    os.close(f)
    os.close(d)


if case == 'first':
    os.chroot(root)
    os.chdir('/')
    work('first')
elif case == 'fork':
    os.chroot(root)
    os.chdir('/')
    for i in range(3):
        pid = os.fork()
        if pid == 0:
            work('child%d' % i)
            sys.stdout.flush()
            os._exit(0)
        sys.stdout.flush()
        os.waitpid(pid, 0)
elif case == 'drop':
    os.chroot(root)
    os.chdir('/')
    os.setgroups([])
    os.setresgid(61001, 61001, 61001)
    os.setresuid(61001, 61001, 61001)
    work('drop')
elif case == 'attached':
    put(V + '/before', 'before')
    os.chroot(root)
    os.chdir('/')
    work('attached')
elif case in ('keep', 'keep-attached'):
    # The new root is elsewhere; what leads into V stays open.
    if case == 'keep-attached':
        put(V + '/before', 'before')
    os.mkdir(V + '/kept') if case == 'keep-attached' else None
    d = os.open(V, os.O_RDONLY | os.O_DIRECTORY)
    os.chdir(V)
    os.chroot(root)
    say('cwd', lambda: put('k1', 'x'))
    say('cwd mkdir', lambda: os.mkdir('k2'))
    say('cwd dots', lambda: put('./../' + os.path.basename(V) + '/k3', 'x'))
    say('dirfd', lambda: put('k4', 'x', dir_fd=d))
    say('dirfd rename', lambda: os.rename('was', 'k5', src_dir_fd=d, dst_dir_fd=d))
    say('dirfd dots', lambda: put('../' + os.path.basename(V) + '/k6', 'x', dir_fd=d))
    say('unlink', lambda: os.unlink('gone'))
elif case == 'escape':
    # Out again by a descriptor of the system's root.
    top = os.open('/', os.O_RDONLY | os.O_DIRECTORY)
    os.chroot(root)
    os.chdir('/')
    os.fchdir(top)
    os.chroot('.')
    say('back', lambda: put(V + '/back', 'x'))
    say('mkdir', lambda: os.mkdir(V + '/e'))
    os.chdir(V)
    say('relative', lambda: put('rel', 'x'))
    say('dots', lambda: put('e/../dots', 'x'))
elif case == 'twice':
    os.chroot(os.path.dirname(root))
    os.chdir('/')
    os.chroot('/' + os.path.basename(root))
    os.chdir('/')
    work('twice')
