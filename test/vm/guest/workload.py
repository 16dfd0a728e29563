"""Makes files, archives, recalls and reads them, round after round: workload.py FOLDER ROUNDS

What is settled is told: "sum SHA256 PATH" for each file that is durable, "object ID PATH" for each that is archived. The marker, a block
of the disk's third partition that is written past every cache, says which folders are durable ("written"), and which of them
`archive` has answered for ("acked").
"""
import hashlib, json, mmap, os, random, sys, threading
import control

HOME, FILES = sys.argv[1], 16
DATA = os.path.join(HOME, "data")
sums = {}


def main(rounds):
    marker = Marker()
    reader = threading.Thread(target=read_for_ever, daemon=True)
    for number in range(rounds):
        name = "r%d" % len(os.listdir(DATA))  # the last one may be half made
        for path in write_folder(name):
            print("sum", sums[path], path, flush=True)
        marker.add("written", name)
        ask("archive", paths=[folder(name)], **control.ARCHIVE)
        for path, object_id in objects_of(name).items():
            print("object", object_id, path, flush=True)
        marker.add("acked", name)
        if number == 0:
            reader.start()
        older = random.choice(marker.state["acked"])
        for method in "recall", "release":
            ask(method, paths=[folder(older)], verbose=False)
            print(method, older, flush=True)


def folder(name):
    return os.path.join(DATA, name)


def write_folder(name):
    """Durable when it returns: files of 1 to 80 KB, and a big one."""
    os.mkdir(folder(name))
    paths = []
    for index in range(FILES):
        content = os.urandom(1_500_000 if index == 0 else random.randrange(1, 80_000))
        path = "%s/f%d" % (name, index)
        with open(os.path.join(DATA, path), "wb") as file:
            file.write(content)
        sums[path] = hashlib.sha256(content).hexdigest()
        paths.append(path)
    os.sync()
    return paths


def objects_of(name):
    """Of the folder's files that are archived now; what somebody has open is passed over."""
    paths = [path for path in sums if path.startswith(name + "/")]
    inos = [os.stat(os.path.join(DATA, path)).st_ino for path in paths]
    infos = ask("files", filesystemPath=DATA, inos=inos)
    return {path: info["object"] for path, info in zip(paths, infos) if info}


def read_for_ever():
    """Recalls, one file at a time; what it reads must be right at any time."""
    while True:
        path = random.choice(list(sums))
        with open(os.path.join(DATA, path), "rb") as file:
            if hashlib.sha256(file.read()).hexdigest() != sums[path]:
                print("not ok wrong bytes in", path, flush=True)


class Marker:
    def __init__(self):
        self.disk = os.open("/dev/vda3", os.O_RDWR | os.O_DIRECT | os.O_DSYNC)
        text = os.pread(os.open("/dev/vda3", os.O_RDONLY), 4096, 0).rstrip(b"\0 ")
        self.state = json.loads(text or '{"written": [], "acked": []}')

    def add(self, key, name):
        self.state[key].append(name)
        block = mmap.mmap(-1, 4096)  # aligned, as O_DIRECT wants it
        block.write(json.dumps(self.state).encode().ljust(4096))
        os.pwrite(self.disk, block, 0)
        print(key, name, flush=True)


def ask(method, **params):
    return control.ask(os.path.join(HOME, "hsm/state/hsm.sock"), method, **params)


main(int(sys.argv[2]))
