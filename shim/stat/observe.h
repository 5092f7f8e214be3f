/* Connections that are not steered: counted, and otherwise left alone. */
#pragma once

/* fd is to listen, or does, as without the shim, for that reason. */
void observe_listening(int fd, const char *why);

/* accepted came from the listener fd, which is in no group. */
void observe_accepted(int fd, int accepted);
