#include "shim/nic/nic_driver.h"
#include <string.h>

static const struct nic_driver drivers[] = {
	/* ATR samples outgoing packets since 82599; ntuple filters take its place in hardware. */
	{.name = "ixgbe", .atr_without_ntuple = true},
	{.name = "i40e", .atr_flag = "flow-director-atr"},
	/* Sets rx_hash_symmetric for Toeplitz on every kernel, reports it from 6.15 on. */
	{.name = "mlx5_core", .transform = TRANSFORM_SYMMETRIC_OR_XOR},
	/* By instance type: key reversed, another start value, or sorted pairs. */
	{.name = "ena", .doubtful = true},
	/* ethtool -L sends the device a command that ends RSS; table and key are still reported. */
	{.name = "virtio_net", .doubtful = true},
	/* Table and key are kept by the host, which may spread packets in its own way. */
	{.name = "hv_netvsc", .doubtful = true},
	{.name = "gve", .doubtful = true},
};

const struct nic_driver *nic_driver(const char *name)
{
	static const struct nic_driver plain = {.name = ""};

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (!strcmp(drivers[i].name, name))
			return &drivers[i];
	return &plain;
}

bool nic_kernel_reports_or_xor(const char *release)
{
	unsigned part[2] = {0, 0};

	for (int i = 0; i < 2; i++) {
		for (; *release >= '0' && *release <= '9' && part[i] < 1000; release++)
			part[i] = part[i] * 10 + (unsigned)(*release - '0');
		if (*release == '.')
			release++;
	}
	return part[0] > 6 || (part[0] == 6 && part[1] >= 15);
}
