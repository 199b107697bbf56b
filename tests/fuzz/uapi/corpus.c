// SPDX-License-Identifier: GPL-2.0-only
/* Programs that reached something new: keeping them, and keeping them small. */
#include "parent.h"

#include <dirent.h>
#include <sys/stat.h>

static struct program *corpus;
static u32 corpus_n, corpus_room;

u32 corpus_size(void)
{
	return corpus_n;
}

const struct program *corpus_at(u32 i)
{
	return &corpus[i];
}

/** corpus_pick() - one of them, rather a late one; NULL if there is none */
const struct program *corpus_pick(void)
{
	u32 i;

	if (!corpus_n)
		return NULL;
	i = rnd_below(corpus_n);
	if (rnd_below(2)) {
		u32 j = rnd_below(corpus_n);

		i = i > j ? i : j;
	}
	return &corpus[i];
}

void corpus_add(const struct program *p)
{
	if (corpus_n == corpus_room) {
		struct program *more;

		corpus_room = corpus_room ? 2 * corpus_room : 256;
		more = realloc(corpus, corpus_room * sizeof(*corpus));
		if (!more)
			abort();
		corpus = more;
	}
	corpus[corpus_n++] = *p;
}

static int corpus_load_file(const char *path)
{
	static char text[1 << 20];
	const char *at = text;
	FILE *f = fopen(path, "r");
	struct program p;
	char err[256];
	size_t n;

	if (!f)
		return -errno;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	for (;;) {
		at = text_read(at, &p, err, sizeof(err));
		if (!at) {
			fprintf(stderr, "%s: %s\n", path, err);
			return -EINVAL;
		}
		if (!p.n)
			return 0;
		corpus_add(&p);
	}
}

/** corpus_load() - from a file, or all files of a directory. Return: 0 or -errno */
int corpus_load(const char *path)
{
	struct dirent **names;
	struct stat st;
	int n, i, err = 0;

	if (stat(path, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return corpus_load_file(path);
	n = scandir(path, &names, NULL, alphasort);
	if (n < 0)
		return -errno;
	for (i = 0; i < n; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (!err && names[i]->d_name[0] != '.')
			err = corpus_load_file(file);
		free(names[i]);
	}
	free(names);
	return err;
}

/* Try @n programs at once. Return: one bit for each that has all of @want; or -errno. */
static s64 try_all(const struct program *tries, u32 n, const struct edges *want)
{
	s64 good = 0;
	u32 k;
	int err = batch_run(tries, n);

	if (err)
		return err;
	for (k = 0; k < n; k++)
		if (cover_has(k, want))
			good |= 1LL << k;
	return good;
}

static void remove_all(struct program *p, u32 mask)
{
	int at;

	for (at = (int)p->n - 1; at >= 0; at--)
		if (mask & 1U << at && p->n > 1)
			gen_remove(p, at);
}

/**
 * corpus_minimise() - take out what is not needed
 * @p: the program
 * @want: the edges that it is kept for
 *
 * Each call that can go alone is a candidate; they go together if they can,
 * else by halves.
 *
 * Return: 0; what batch_run() returned.
 */
int corpus_minimise(struct program *p, const struct edges *want)
{
	static struct program tries[BATCH_MAX];
	u32 at, some, mask;
	s64 good;

	for (at = 0; at < p->n; at++) {
		tries[at] = *p;
		remove_all(&tries[at], 1U << at);
	}
	good = try_all(tries, p->n, want);
	if (good <= 0)
		return good;
	mask = good;
	for (some = 0; some < 4; some++) {
		/* all of them, the later half, the earlier half, every other one */
		static const u32 part[] = { 0xffffffff, 0xffff0000, 0x0000ffff, 0x55555555 };

		tries[some] = *p;
		remove_all(&tries[some], mask & part[some]);
	}
	good = try_all(tries, 4, want);
	if (good < 0)
		return good;
	for (some = 0; some < 4; some++)
		if (good & 1 << some) {
			*p = tries[some];
			break;
		}
	return 0;
}

/**
 * corpus_distill() - write the few programs that reach what all of them reach
 * @out: to which file, one after the other
 * @max: programs at most
 *
 * Return: 0; what batch_run() returned.
 */
int corpus_distill(FILE *out, u32 max)
{
	struct edges *has = calloc(corpus_n, sizeof(*has));
	char text[16384];
	u32 i, n;
	int err;

	if (!has)
		return -ENOMEM;
	cover_forget();
	for (i = 0; i < corpus_n; i++) {
		err = batch_run(&corpus[i], 1);
		if (err) {
			free(has);
			return err;
		}
		cover_program(0, &has[i]);
	}
	for (n = 0; n < max; n++) {
		u32 best = 0, best_score = 0;

		for (i = 0; i < corpus_n; i++) {
			struct edges fresh = { 0 };
			u32 score;

			cover_fresh(&has[i], &fresh);
			score = fresh.n * 64 / (corpus[i].n + 4);
			has[i] = fresh;
			if (score > best_score) {
				best = i;
				best_score = score;
			}
		}
		if (!best_score)
			break;
		cover_add(&has[best]);
		text_write(&corpus[best], text, sizeof(text));
		fprintf(out, "%s----\n", text);
	}
	free(has);
	return 0;
}
