# title: pip
# group: Languages and their tools
# does: a virtual environment, a wheel built from source and installed, upgraded; another installed to be edited, uninstalled
# needs: /usr/bin/python3 /usr/lib/python3/dist-packages/setuptools /usr/lib/python3.11/ensurepip
# packages: python3-venv python3-setuptools python3-wheel
# version: /usr/bin/python3 -m ensurepip --version

work() {
    /usr/bin/python3 -m venv --system-site-packages env
    for v in 1.0 1.1.1; do
        rm -rf src/build; mkdir -p src/pack; echo "version = '$v'" > src/pack/__init__.py
        printf 'from setuptools import setup\nsetup(name="pack", version="%s", packages=["pack"], entry_points={"console_scripts": ["packed=pack:version.upper"]})\n' $v > src/setup.py
        env/bin/pip install -q --no-build-isolation --no-index ./src
    done
    mkdir -p other/gone; echo > other/gone/__init__.py; printf 'from setuptools import setup\nsetup(name="gone", version="1", packages=["gone"])\n' > other/setup.py
    env/bin/pip install -q --no-build-isolation --no-index -e ./other; env/bin/pip uninstall -q -y gone
}

check() {
    env/bin/python -c 'import pack; print(pack.version)'; env/bin/pip list --local; env/bin/pip show -f pack | grep -v Location; ls env/bin | sort
}
