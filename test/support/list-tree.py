"""Prints what lies below each folder given: one JSON line a folder, a list of facts a path; bytes as latin1 text."""
import json
import os
import stat
import sys

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
         stat.S_IFCHR: "char", stat.S_IFBLK: "block"}


def facts(root, path):
    full = os.path.join(root, path) if path else root
    st = os.lstat(full)
    kind = KINDS[stat.S_IFMT(st.st_mode)]
    value = b""
    if kind == "file":
        with open(full, "rb") as file:
            value = file.read()
    elif kind == "symlink":
        value = os.readlink(full)
    elif kind in ("char", "block"):
        value = b"%d:%d" % (os.major(st.st_rdev), os.minor(st.st_rdev))
    names = [os.fsencode(name) for name in os.listxattr(full, follow_symlinks=False)]
    xattrs = [[name.decode("latin1"), os.getxattr(full, name, follow_symlinks=False).decode("latin1")]
              for name in names if name != b"security.selinux"]
    return [path.decode("latin1"), kind, stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, str(st.st_mtime_ns),
            value.decode("latin1"), xattrs, st.st_ino]


def walk(root, path, found):
    try:
        found.append(facts(root, path))
    except FileNotFoundError:
        if not path:
            raise
        return  # overlayfs lists whiteouts of nothing, which cannot be looked up
    if found[-1][1] == "directory":
        for name in sorted(os.listdir(os.path.join(root, path) if path else root)):
            walk(root, path + b"/" + name if path else name, found)


for argument in sys.argv[1:]:
    entries = []
    walk(os.fsencode(argument), b"", entries)
    print(json.dumps(entries))
