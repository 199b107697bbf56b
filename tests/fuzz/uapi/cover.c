// SPDX-License-Identifier: GPL-2.0-only
/* What the programs of a batch reached, from the buffers of kcov. */
#include "lane.h"
#include "parent.h"

#include <fcntl.h>
#include <unistd.h>
#include <linux/kcov.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define EDGE_BITS	17

static u64 *cover[LANES];
static u8 edge_seen[1 << EDGE_BITS], block_seen[1 << EDGE_BITS];
static u32 edges, blocks;
/* the last program that had it */
static u32 stamp[1 << EDGE_BITS];
static u32 now;

/** cover_setup() - a buffer for each lane. Return: 0; -errno without kcov */
int cover_setup(void)
{
	u32 i;

	for (i = 0; i < LANES; i++) {
		int fd = open("/sys/kernel/debug/kcov", O_RDWR);

		if (fd < 0)
			return -errno;
		if (fd != (int)(KCOV_FD + i)) {
			dup2(fd, KCOV_FD + i);
			close(fd);
		}
		if (ioctl(KCOV_FD + i, KCOV_INIT_TRACE, KCOV_WORDS))
			return -errno;
		cover[i] = mmap(NULL, KCOV_WORDS * sizeof(u64), PROT_READ | PROT_WRITE,
				MAP_SHARED, KCOV_FD + i, 0);
		if (cover[i] == MAP_FAILED)
			return -errno;
	}
	return 0;
}

/** cover_batch() - a batch is about to run: no marks of the last one */
void cover_batch(void)
{
	u32 i;

	for (i = 0; i < LANES; i++)
		memset(sh->lane[i].mark, 0, sizeof(sh->lane[i].mark));
}

static u32 hash(u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	return x >> (64 - EDGE_BITS);
}

static void cover_call(const u64 *pc, u64 n, u32 nr, struct edges *fresh)
{
	u64 before = nr, i;

	for (i = 0; i < n; i++) {
		u32 edge = hash(before * 31 + pc[i]), block = hash(pc[i]);

		before = pc[i];
		if (!block_seen[block]) {
			block_seen[block] = 1;
			blocks++;
		}
		if (stamp[edge] == now)
			continue;
		stamp[edge] = now;
		if (!edge_seen[edge] && fresh->n < EDGES_MAX)
			fresh->edge[fresh->n++] = edge;
	}
}

/**
 * cover_program() - the edges of program @k of the batch that are new
 * @k: which
 * @fresh: filled
 *
 * Return: how many.
 */
u32 cover_program(u32 k, struct edges *fresh)
{
	const struct program *p = &sh->prog[k];
	u32 i;

	now++;
	fresh->n = 0;
	for (i = 0; i < p->n; i++) {
		const struct lane_state *l = &sh->lane[p->call[i].lane];
		u32 from = l->mark[k][i], to = l->mark[k][i + 1];

		/* of a call that was killed there is no end */
		if (to > from && to < KCOV_WORDS)
			cover_call(cover[p->call[i].lane] + 1 + from, to - from,
				   p->call[i].nr, fresh);
	}
	return fresh->n;
}

/** cover_has() - whether program @k of the batch has all of these edges */
bool cover_has(u32 k, const struct edges *want)
{
	struct edges fresh;
	u32 i;

	cover_program(k, &fresh);
	for (i = 0; i < want->n; i++)
		if (stamp[want->edge[i]] != now)
			return false;
	return true;
}

void cover_add(const struct edges *more)
{
	u32 i;

	for (i = 0; i < more->n; i++)
		if (!edge_seen[more->edge[i]]) {
			edge_seen[more->edge[i]] = 1;
			edges++;
		}
}

/** cover_fresh() - those of @of that are new */
void cover_fresh(const struct edges *of, struct edges *fresh)
{
	u32 i;

	fresh->n = 0;
	for (i = 0; i < of->n; i++)
		if (!edge_seen[of->edge[i]])
			fresh->edge[fresh->n++] = of->edge[i];
}

u32 cover_edges(void)
{
	return edges;
}

u32 cover_blocks(void)
{
	return blocks;
}

/** cover_forget() - as if nothing had run */
void cover_forget(void)
{
	memset(edge_seen, 0, sizeof(edge_seen));
	edges = 0;
}
