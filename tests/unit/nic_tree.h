/* A /proc and a /sys of our own making, for the readers that take directory descriptors. */
#pragma once
#include "shim/nic/nic_sources.h"
#include "shim/nic/nic_work.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tree {
	char root[32];
	struct nic_sources sources;
};

/* Creates the directories that a file of this path is in. */
static inline void tree_parents(const char *path)
{
	char part[512];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		cr_assert(!mkdir(part, 0755) || errno == EEXIST, "mkdir %s", part);
		*slash = '/';
	}
}

static inline void tree_make(struct tree *tree)
{
	static struct nic_work work;
	char path[64];

	strcpy(tree->root, "/tmp/rssshim-tree-XXXXXX");
	cr_assert(mkdtemp(tree->root));
	snprintf(path, sizeof(path), "%s/proc/", tree->root);
	tree_parents(path);
	tree->sources.proc = open(path, O_PATH | O_DIRECTORY);
	snprintf(path, sizeof(path), "%s/sys/", tree->root);
	tree_parents(path);
	tree->sources.sys = open(path, O_PATH | O_DIRECTORY);
	tree->sources.ioctl = -EPERM;
	tree->sources.route = -EAFNOSUPPORT;
	tree->sources.generic = -EAFNOSUPPORT;
	tree->sources.ethtool_family = -EAFNOSUPPORT;
	tree->sources.netdev_family = -EAFNOSUPPORT;
	tree->sources.detail = true;
	tree->sources.work = &work;
}

static inline int tree_unlink(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
	(void)info, (void)type, (void)ftw;
	return remove(path);
}

static inline void tree_remove(struct tree *tree)
{
	close(tree->sources.proc);
	close(tree->sources.sys);
	nftw(tree->root, tree_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void tree_bytes(struct tree *tree, const char *path, const char *bytes, size_t len)
{
	char whole[512];
	FILE *file;

	snprintf(whole, sizeof(whole), "%s/%s", tree->root, path);
	tree_parents(whole);
	file = fopen(whole, "w");
	cr_assert(file, "%s", whole);
	fwrite(bytes, 1, len, file);
	fclose(file);
}

/* The path is a format. */
static inline __attribute__((format(printf, 3, 4))) void
tree_file(struct tree *tree, const char *text, const char *path, ...)
{
	char formatted[256];
	va_list args;

	va_start(args, path);
	vsnprintf(formatted, sizeof(formatted), path, args);
	va_end(args);
	tree_bytes(tree, formatted, text, strlen(text));
}

static inline void tree_link(struct tree *tree, const char *path, const char *target)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s/%s", tree->root, path);
	tree_parents(whole);
	cr_assert(!symlink(target, whole), "%s", whole);
}

/* A file of tests/unit/nic. The caller frees it. */
static inline char *recorded(const char *name, size_t *len)
{
	char path[128];
	char *text;
	FILE *file;

	snprintf(path, sizeof(path), "tests/unit/nic/%s", name);
	file = fopen(path, "r");
	cr_assert(file, "%s: run from the top of the tree", path);
	text = malloc(65536);
	*len = fread(text, 1, 65535, file);
	text[*len] = '\0';
	fclose(file);
	return text;
}
