/* Destinations that see another source address than ours: SNAT, masquerading. What the NIC hashes
 * is then not what the socket says, and no port brings the replies home.
 *
 * Only connection tracking on this host knows, and only root may read it: its file is opened at the
 * first socket, while the application may still be root, and looked into when a prediction failed.
 */
#pragma once
#include "shim/decide/flow.h"
#include <stdbool.h>

/* Opens the file, once, where there is one and it may be read. Before privileges are dropped. */
void translation_start(void);

/* A prediction for this connection failed. True if that is why; its remote address is then known as
 * translated. Reads a bounded part of the file, and not often. */
bool translation_explains(const struct flow *flow, uint64_t now_ms);

/* Whether that remote address is known as translated: a load where none is. */
bool translation_known(const struct flow *flow);

/* Rules may have changed: forgets what is known. */
void translation_forget(void);
