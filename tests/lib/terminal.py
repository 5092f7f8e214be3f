"""terminal.py KEYS COMMAND ARG...: runs a command on a terminal of its own, types KEYS after a while
(^C for that), and says as JSON how it ended, what it wrote, and whether the terminal is as before."""
import fcntl, json, os, pty, select, struct, subprocess, sys, termios, time

keys = sys.argv[1].replace("^C", "\x03").encode()
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 30, 100, 0, 0))
before = termios.tcgetattr(slave)


def own_terminal():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


process = subprocess.Popen(sys.argv[2:], stdin=slave, stdout=slave, stderr=slave,
                           preexec_fn=own_terminal, env={**os.environ, "TERM": "xterm-256color"})
written, start, typed = b"", time.monotonic(), False
while time.monotonic() - start < 20:
    if select.select([master], [], [], 0.05)[0]:
        written += os.read(master, 65536)
    elif process.poll() is not None:
        break
    if not typed and time.monotonic() - start > 1.5:
        os.write(master, keys)
        typed = True
raw = b"\033[?1049h" in written
if process.poll() is None:
    process.kill()
print(json.dumps({"status": process.wait(), "seconds": time.monotonic() - start,
                  "restored": termios.tcgetattr(slave) == before, "entered": raw,
                  "left": written.rstrip().endswith(b"\033[?1049l"),
                  "text": written.decode(errors="replace")}))
