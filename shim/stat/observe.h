/* Connections that are not steered: counted, and otherwise left alone. */
#pragma once

/* accepted came from the listener fd, which is in no group. */
void observe_accepted(int fd, int accepted);
