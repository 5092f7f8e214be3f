"""own_group.py PORT COMMAND...: COMMAND with a group of two listening sockets as descriptors 3 and 4,
whose program, the application's own, gives every connection to the second."""
import ctypes
import os
import socket
import struct
import sys

SO_ATTACH_REUSEPORT_CBPF = 51
port, command = int(sys.argv[1]), sys.argv[2:]
for want in (3, 4):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen(1024)
    if listener.fileno() != want:
        os.dup2(listener.fileno(), want)
    os.set_inheritable(want, True)
    listener.detach()
# BPF_RET | BPF_K: index 1.
instruction = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 1))
program = struct.pack("HxxxxxxP", 1, ctypes.addressof(instruction))
group = socket.socket(fileno=os.dup(3))
group.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program)
group.close()
os.execvp(command[0], command)
