// SPDX-License-Identifier: GPL-2.0-only
/* Calls about mappings, and reading and writing through them. */
#include "lane.h"

#include <fcntl.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static struct map *map_of(struct process_state *proc, u64 addr)
{
	u32 i;

	for (i = 0; i < MAPS_MAX && i < proc->nr_maps; i++)
		if (proc->map[i].addr == addr && addr)
			return &proc->map[i];
	return NULL;
}

/** map_find() - the newest mapping of a cache at an offset, or NULL */
const struct map *map_find(const struct process_state *proc, u64 cache, u64 off)
{
	u32 n = proc->nr_maps < MAPS_MAX ? proc->nr_maps : MAPS_MAX;

	while (n--)
		if (proc->map[n].cache == cache && proc->map[n].off == off && proc->map[n].len)
			return &proc->map[n];
	return NULL;
}

static struct map *map_slot(struct process_state *proc, u64 *addr)
{
	u32 n = __atomic_fetch_add(&proc->nr_maps, 1, __ATOMIC_RELAXED);

	if (n >= MAPS_MAX) {
		__atomic_fetch_sub(&proc->nr_maps, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	*addr = MAP_WINDOW + n * MAP_SLOT;
	return &proc->map[n];
}

/* What is mapped is the table's size, which the cache says, unless asked otherwise. */
static u64 map_len(const struct run *x, int fd, u64 off)
{
	struct asynclazy_geometry g = { .size = sizeof(g) };
	u64 len = val(x, T_MLEN);

	if (len)
		return len;
	if (ioctl(fd, ASYNCLAZY_IOC_GEOMETRY, &g))
		return 4096;
	if (off < ASYNCLAZY_OFF_ARENA)
		return g.out_table_size;
	if (off < ASYNCLAZY_OFF_VISITED)
		return g.out_arena_size;
	if (off < ASYNCLAZY_OFF_WORDS)
		return off < ASYNCLAZY_OFF_PINS ? g.out_visited_size : g.out_pins_size;
	return off < ASYNCLAZY_OFF_HELD ? g.out_words_size : ASYNCLAZY_HELD_SIZE;
}

static bool is_stable(int fd)
{
	struct asynclazy_geometry g = { .size = sizeof(g) };

	return ioctl(fd, ASYNCLAZY_IOC_GEOMETRY, &g) || g.out_flags & ASYNCLAZY_CREATE_STABLE;
}

/** map_writable() - whether clients may write what is at this offset */
bool map_writable(u64 off)
{
	return (off >= ASYNCLAZY_OFF_VISITED && off < ASYNCLAZY_OFF_WAITING) ||
	       off >= ASYNCLAZY_OFF_HELD;
}

/* What a mapping of this may not be. */
static bool prot_bad(u64 off, int prot)
{
	return prot & PROT_EXEC || (prot & PROT_WRITE && !map_writable(off));
}

/* I7: no mapping of the module's can be made executable, and few writable. */
static void must_stay(const struct map *m)
{
	static const int prots[] = { PROT_READ | PROT_WRITE, PROT_WRITE, PROT_READ | PROT_EXEC };
	u32 i;

	for (i = 0; i < sizeof(prots) / sizeof(prots[0]); i++)
		if (prot_bad(m->off, prots[i]) &&
		    !mprotect((void *)m->addr, m->len, prots[i]))
			violation("I7: mprotect of a mapping to %#x succeeded", prots[i]);
	__atomic_add_fetch(&sh->checked_writes, 1, __ATOMIC_RELAXED);
}

static s64 call_mmap(struct run *x)
{
	int fd = val(x, T_CLIENT), prot = val(x, T_PROT), flags = val(x, T_MFLAGS);
	u64 off = val(x, T_MOFF), len = map_len(x, fd, off), want;
	struct map *m = map_slot(x->proc, &want);
	bool fits = len <= MAP_SLOT;
	void *at;

	if (!m)
		return -ENOMEM;
	*m = (struct map){ 0 };
	/* the client may be closed, and something else in its place */
	if (fd_kind(x->proc, fd) == K_OTHER)
		return -EBADF;
	if (flags & MAP_ANONYMOUS)
		return -EINVAL;		/* would have nothing to do with the module */
	at = mmap((void *)want, len, prot, flags | (fits ? MAP_FIXED : 0), fd, off);
	if (at == MAP_FAILED)
		return -errno;
	if (fd_kind(x->proc, fd) == K_OTHER)
		return munmap(at, len) ? -errno : -EBADF;
	if (prot_bad(off, prot) || (flags & MAP_TYPE) == MAP_PRIVATE)
		violation("mmap with prot %#x succeeded", prot);
	if (!fits) {
		munmap(at, len);
		violation("mmap of %#llx bytes succeeded", len);
		return 0;
	}
	*m = (struct map){ want, len, off, fd_cache(x->proc, fd), is_stable(fd) };
	must_stay(m);
	x->r->addr = want;
	x->r->len = len;
	x->r->cache = m->cache;
	return 0;
}

static s64 call_mprotect(struct run *x)
{
	struct map *m = map_of(x->proc, val(x, T_MAP));
	int prot = val(x, T_PROT);

	if (!m)
		return -ENOENT;
	if (mprotect((void *)m->addr, m->len, prot))
		return -errno;
	/* nothing may be there by now, but what is there is the module's */
	if (prot_bad(m->off, prot))
		violation("mprotect to %#x succeeded", prot);
	return 0;
}

static s64 call_munmap(struct run *x)
{
	struct map *m = map_of(x->proc, val(x, T_MAP));
	u64 len = val(x, T_MLEN);

	if (!m)
		return -ENOENT;
	/* a part from the middle, too */
	if (len == 4096 && m->len > 8192)
		return munmap((void *)(m->addr + 4096), 4096) ? -errno : 0;
	return munmap((void *)m->addr, len && len < MAP_SLOT ? len : m->len) ? -errno : 0;
}

static s64 call_mremap(struct run *x)
{
	struct map *m = map_of(x->proc, val(x, T_MAP)), *to;
	u64 len = val(x, T_MLEN), want;
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	void *at;

	if (!m)
		return -ENOENT;
	if (!len || len > MAP_SLOT)
		len = m->len;
	to = map_slot(x->proc, &want);
	if (!to)
		return -ENOMEM;
	*to = (struct map){ 0 };
	/* old size 0 makes a second one of a shared mapping */
	at = mremap((void *)m->addr, val(x, T_WHAT) & 2 ? 0 : m->len, len, flags, (void *)want);
	if (at == MAP_FAILED)
		return -errno;
	*to = (struct map){ want, len, m->off, m->cache, m->stable };
	must_stay(to);
	x->r->addr = want;
	x->r->len = len;
	x->r->cache = m->cache;
	return 0;
}

static s64 call_madvise(struct run *x)
{
	static const int advice[] = { MADV_DONTNEED, MADV_WILLNEED, MADV_DONTFORK, MADV_DOFORK,
		MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_REMOVE, MADV_FREE, MADV_MERGEABLE,
		MADV_HUGEPAGE, MADV_PAGEOUT, MADV_COLD };
	struct map *m = map_of(x->proc, val(x, T_MAP));
	int what = advice[val(x, T_WHAT) % (sizeof(advice) / sizeof(advice[0]))];

	if (!m)
		return -ENOENT;
	if (madvise((void *)m->addr, m->len, what))
		return -errno;
	if (what == MADV_POPULATE_WRITE && !map_writable(m->off))
		violation("pages of the module were populated for writing");
	return 0;
}

static int touch_read(void *addr)
{
	return *(volatile char *)addr & 0;
}

static s64 call_peek(struct run *x)
{
	struct map *m = map_of(x->proc, val(x, T_MAP));
	const struct arg *arg = &x->call->arg[x->desc->pos[T_OFFSET]];
	const struct result *from = arg->ref ? &sh->result[x->k][arg->ref - 1] : NULL;
	u64 offset = val(x, T_OFFSET);
	volatile struct map copy;
	int sig;

	if (!m)
		return -ENOENT;
	copy = *m;
	if (copy.off != ASYNCLAZY_OFF_ARENA || !from || from->cache != copy.cache || !copy.cache)
		return -EINVAL;
	/* what is not pinned may be another one by now, or gone */
	if (!copy.stable)
		return may_fault(touch_read, (void *)(copy.addr + offset % copy.len), &sig) ?
			0 : -EFAULT;
	sig = check_record((const char *)copy.addr, copy.len, offset, from->generation, 0);
	return sig ? -EFAULT : 0;
}

static int touch_write(void *addr)
{
	*(volatile u64 *)addr = 0x4141414141414141ULL;
	return 0;
}

/* Every way to write to memory that one may not write to. */
static s64 call_poke(struct run *x)
{
	struct map *m = map_of(x->proc, val(x, T_MAP));
	u64 what = val(x, T_WHAT), addr;
	bool wrote;
	int sig, fd;

	if (!m || !m->addr)
		return -ENOENT;
	addr = m->addr + (what & 8 ? 4096 : 0) + (what & 4 ? 64 : 0);
	if (what & 1) {
		fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		wrote = pwrite(fd, "AAAAAAAA", 8, addr) > 0;
		close(fd);
	} else if (what & 2) {
		fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		wrote = read(fd, (void *)addr, 8) > 0;
		close(fd);
	} else {
		wrote = may_fault(touch_write, (void *)addr, &sig);
	}
	__atomic_add_fetch(&sh->checked_writes, 1, __ATOMIC_RELAXED);
	if (wrote && !map_writable(m->off))
		violation("I7: a write through a read-only mapping succeeded (way %llu)",
			  (what & 3));
	return 0;
}

static s64 call_scan(struct run *x)
{
	u64 cache = fd_cache(x->proc, val(x, T_CLIENT));
	const struct map *table = map_find(x->proc, cache, ASYNCLAZY_OFF_TABLE);
	const struct map *arena = map_find(x->proc, cache, ASYNCLAZY_OFF_ARENA);
	struct map t, a;

	if (!table || !cache)
		return -ENOENT;
	/* another thread may remap them */
	t = *table;
	if (arena && arena->stable)
		a = *arena;
	else
		arena = NULL;
	return check_table(&t, arena ? &a : NULL) ? -EFAULT : 0;
}

static int touch_scribble(void *arg)
{
	const struct map *m = arg;
	volatile u64 *words = (volatile u64 *)m->addr;
	u64 n = (m->len < 4096 ? m->len : 4096) / 8, what = m->off, i;

	for (i = 0; i < n; i++)
		switch (what % 8) {
		case 0: words[i] = 0; break;
		case 1: words[i] = ~0ULL; break;
		/* in each segment; anywhere; one after the other */
		case 2: words[i] = i * 65536 | ASYNCLAZY_PIN_SET; break;
		case 3: words[i] = what * (i + 1) * 0x9e3779b97f4a7c15ULL; break;
		case 4: words[i % 8] = i * 64 | ASYNCLAZY_PIN_SET; break;
		case 5: words[i] ^= 1ULL << what % 64; break;
		case 6: words[i] = 1ULL << i % 64; break;
		default: words[i] = words[n - 1 - i]; break;
		}
	return 0;
}

/* Into pins or visited bits, whatever one likes. */
static s64 call_scribble(struct run *x)
{
	u64 cache = fd_cache(x->proc, val(x, T_CLIENT)), off = val(x, T_MOFF);
	const struct map *m;
	struct map copy;
	int sig;

	if (!map_writable(off))
		off = off & 4096 ? ASYNCLAZY_OFF_VISITED : ASYNCLAZY_OFF_PINS;
	m = map_find(x->proc, cache, off);
	if (!m || !cache)
		return -ENOENT;
	copy = *m;
	copy.off = val(x, T_WHAT);
	return may_fault(touch_scribble, &copy, &sig) ? 0 : -EFAULT;
}

/** call_mem() - mappings */
s64 call_mem(struct run *x)
{
	switch (x->call->nr) {
	case C_MMAP: return call_mmap(x);
	case C_MPROTECT: return call_mprotect(x);
	case C_MUNMAP: return call_munmap(x);
	case C_MREMAP: return call_mremap(x);
	case C_MADVISE: return call_madvise(x);
	case C_PEEK: return call_peek(x);
	case C_POKE: return call_poke(x);
	case C_SCRIBBLE: return call_scribble(x);
	default: return call_scan(x);
	}
}
