/* What drivers do and do not say. Pure. */
#pragma once
#include "shim/decide/arrival.h"
#include <stdbool.h>

struct nic_driver {
	const char *name;
	/* Flow Director in its application-targeted mode: replies are steered to the queue the
	 * connection sends on. */
	bool atr_without_ntuple; /* on unless ntuple filters are on */
	const char *atr_flag;    /* on when this private flag is */
	/* Hashes with this transform even where the kernel cannot report one (before 6.15). */
	enum hash_transform transform;
	/* Key or table are sometimes not what the device uses: worth trying, to be verified. */
	bool doubtful;
};

/* Never NULL: drivers nothing is known of have a description without peculiarities. */
const struct nic_driver *nic_driver(const char *name);

/* Whether a kernel of this release ("6.18.0-foo") reports the or-xor transform. */
bool nic_kernel_reports_or_xor(const char *release);
