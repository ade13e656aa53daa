# title: uv
# group: Languages and their tools
# does: a virtual environment, packages installed with its cache in the directory
# needs: uv /usr/bin/python3
# packages: python3-venv
# pip: uv
# also: MIRROR_NET=always
# version: uv --version
# network: yes
# note: it makes some of its system calls with an instruction of its own (Rust's rustix).

work() {
    export UV_CACHE_DIR=$PWD/cache UV_NO_PROGRESS=1
    uv venv -q -p /usr/bin/python3 env; VIRTUAL_ENV=$PWD/env uv pip install -q 'six==1.16.0' 'idna==3.7'; VIRTUAL_ENV=$PWD/env uv pip uninstall -q idna
}

check() {
    env/bin/python -c 'import six; print(six.__version__)'; VIRTUAL_ENV=$PWD/env uv pip list -q; sums env/lib | grep -v __pycache__ | sed 's/^.* //'; find cache -type f -size +2k | wc -l
}
