"""late_port.py ADDRESS: what bind() to port 0 promises, whether or not the port waits for connect().
Prints a line for each promise that is broken."""
import array
import ctypes
import os
import socket
import struct
import sys

ADDRESS = sys.argv[1]
FAMILY = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET
IP_BIND_ADDRESS_NO_PORT = 24


def check(what, holds):
    if not holds:
        print("broken:", what)


def bound():
    s = socket.socket(FAMILY)
    s.bind((ADDRESS, 0))
    return s


def port(s):
    return s.getsockname()[1]


def refuses(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return 0


s = bound()
check("a port is there", port(s) != 0)
check("it stays", port(s) == port(s))
check("the address is there", s.getsockname()[0] == ADDRESS)
held = [bound() for _ in range(50)]
check("no two have the same", len({port(t) for t in held}) == 50)
check("a second bind is refused", refuses(bound().bind, (ADDRESS, 0)) == 22)
check("and to a port", refuses(bound().bind, (ADDRESS, 22222)) == 22)
check("the option reads 0", bound().getsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) == 0)
own = socket.socket(FAMILY)
own.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
own.bind((ADDRESS, 0))
check("the application's own wish holds", port(own) == 0)
check("and reads 1", own.getsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) == 1)

s = bound()
s.listen(5)
client = socket.create_connection((ADDRESS, port(s)))
check("it can listen", s.accept()[0].getpeername()[1] == port(client))

s = bound()
copy = s.dup()
check("a copy sees the port", port(copy) != 0 and port(copy) == port(s))
s = bound()
pid = os.fork()
if pid == 0:
    os._exit(0 if port(s) else 1)
check("so does a child", os.waitpid(pid, 0)[1] == 0)
check("the same", port(s) != 0)
s = bound()
os.set_inheritable(s.fileno(), True)
plain = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
read = "import socket,sys; s = socket.socket(fileno=%d); sys.exit(s.getsockname()[1] == 0)"
pid = os.fork()
if pid == 0:
    os.execve(sys.executable, [sys.executable, "-c", read % s.fileno()], plain)
check("so does the next program", os.waitpid(pid, 0)[1] == 0)


def inherited():
    s = bound()
    os.set_inheritable(s.fileno(), True)
    return s


s = inherited()
pid = os.posix_spawn(sys.executable, [sys.executable, "-c", read % s.fileno()], plain)
check("one that is spawned", os.waitpid(pid, 0)[1] == 0)
libc = ctypes.CDLL(None)
command = f"unset LD_PRELOAD; {sys.executable} -c '%s'"
s = inherited()
check("one of system()", libc.system((command % read % s.fileno()).encode()) == 0)
s = inherited()
libc.popen.restype = ctypes.c_void_p
libc.pclose.argtypes = [ctypes.c_void_p]
check("one of popen()", libc.pclose(libc.popen((command % read % s.fileno()).encode(), b"r")) == 0)
s = bound()
here, there = socket.socketpair()
here.sendmsg([b"s"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
got = array.array("i")
got.frombytes(there.recvmsg(1, socket.CMSG_LEN(got.itemsize))[1][0][2])
check("and who is sent it", port(socket.socket(fileno=got[0])) == port(s) != 0)


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]


class Message(ctypes.Structure):  # struct mmsghdr
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_char_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_long),
        ("sent", ctypes.c_uint32),
    ]


# Of several messages, in the second.
s = bound()
rights = struct.pack("@Niii", socket.CMSG_LEN(4), socket.SOL_SOCKET, socket.SCM_RIGHTS, s.fileno()).ljust(24, b"\0")
data = Vector(b"s", 1)
messages = (Message * 2)(*(Message(vectors=ctypes.pointer(data), vector_count=1) for _ in range(2)))
messages[1].control, messages[1].control_length = rights, len(rights)
check("two are sent", libc.sendmmsg(here.fileno(), messages, 2, 0) == 2)
there.recv(1)
got = array.array("i")
got.frombytes(there.recvmsg(1, socket.CMSG_LEN(got.itemsize))[1][0][2])
check("and who is sent it by sendmmsg()", port(socket.socket(fileno=got[0])) == port(s) != 0)
# A number that changes hands unseen: what stands there then is left alone.
DUP3 = 292 if os.uname().machine == "x86_64" else 24
number = bound().detach()
other = socket.socket(FAMILY, socket.SOCK_DGRAM)
check("a number is reused", libc.syscall(DUP3, other.fileno(), number, 0) == number)
libc.system(b":")
with open(f"/proc/self/net/udp{'6' if ':' in ADDRESS else ''}") as udp:
    inode = os.readlink(f"/proc/self/fd/{number}")[8:-1]
    check("another socket under its number has no port", all(line.split()[9] != inode for line in udp))
check("bind to another's address is refused", refuses(socket.socket(FAMILY).bind,
      ("192.0.2.1" if FAMILY == socket.AF_INET else "2001:db8::1", 0)) == 99)
other = socket.socket(FAMILY)
refuses(other.bind, ("192.0.2.1" if FAMILY == socket.AF_INET else "2001:db8::1", 0))
check("and the option reads 0 then", other.getsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) == 0)
