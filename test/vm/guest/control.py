"""The daemon's control socket (docs/protocol.md), for scripts that cannot wait for a Node to start: control.py SOCKET METHOD [PARAMS]"""
import json, socket, sys

ARCHIVE = dict(olderThan=0, by="used", include=[], exclude=[], pools=[], keepData=False, dryRun=False, verbose=False)


def ask(path, method, **params):
    """One request on a connection of its own; its result. Ends the program when it fails, or does for some file."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(json.dumps({"id": 1, "method": method, "params": params}).encode() + b"\n")
        for line in connection.makefile():
            answer = json.loads(line)
            result = answer.get("result")
            if "error" in answer or isinstance(result, dict) and result.get("failed", 0) > 0:
                sys.exit("%s: %s" % (method, line))
            if result is not None:
                return result
    sys.exit(method + ": no answer")


if __name__ == "__main__":
    path, method, params = sys.argv[1], sys.argv[2], json.loads((sys.argv + ["{}"])[3])
    print(json.dumps(ask(path, method, **(ARCHIVE if method == "archive" else {}), **params)))
