"""dns.py ADDRESS PORT FILE: answers every A question with the address in FILE, good for a second."""
import socket
import sys

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], int(sys.argv[2])))
while True:
    question, client = server.recvfrom(512)
    end = question.index(b"\0", 12) + 5  # name, type, class
    is_a = question[end - 4 : end - 2] == b"\0\x01"
    answer = b"\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04" + socket.inet_aton(open(sys.argv[3]).read().strip())
    header = question[:2] + b"\x81\x80\0\x01" + (b"\0\x01" if is_a else b"\0\0") + b"\0\0\0\0"
    server.sendto(header + question[12:end] + (answer if is_a else b""), client)
