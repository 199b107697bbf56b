// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * alazy run: one runs the command, all get its result.
 *
 * The ticket level of the library fits best: whoever gets the ticket runs the
 * command, publishes what came of it and prints its own copy. Nothing is looked
 * up again, so that a result may end the moment it is published ("0") and still
 * reaches everybody who was waiting for it.
 */
#include <asynclazy.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alazy.h"
#include "exec.h"
#include "json.h"
#include "key.h"
#include "record.h"
#include "store.h"

#define HELP		"alazy run --help"
#define SECOND		1000000000ULL
#define BRIEFLY		1	/* ns: for those who wait, and nobody after them */

struct run {
	struct store store;
	const char *key_text;
	uint64_t ttl;
	uint64_t error_ttl;
	uint64_t deadline;
	bool json;
	char **argv;

	struct buf key;
};

static void help(void)
{
	fputs(
"Usage: alazy run [option...] [--] COMMAND [argument...]\n"
"Prints what COMMAND prints and ends as it ends; but of all who ask for the same\n"
"at the same time only one runs it, and its result is kept for a while.\n"
"\n"
"  --key K        what \"the same\" means; default: the working directory, the\n"
"                 command and its arguments\n"
"  --ttl T        how long a result is kept (default 60s)\n"
"  --error-ttl T  how long one with another status than 0 is kept (default 1s)\n"
"  --timeout T    give up after T, with status 124 (default never)\n"
"  --cache NAME   the cache (default alazy-run-UID)\n"
"  --json         print one JSON object: key, ran, exit_status, signal, stdout,\n"
"                 stderr; a byte 0xNN that is not UTF-8 is written \\udcNN\n"
"  --help         this text\n"
"\n"
"T is a number with ms, s, m, h or d, or never, or 0: then only those who wait\n"
"for the result get it, and the next call runs the command again.\n"
"\n"
"The command reads /dev/null. stdout and stderr are kept apart, and are printed\n"
"when it has ended. If the one who runs it is killed, so is the command, and\n"
"another of those who wait runs it.\n"
"\n"
"Exit status: the command's, or 128+n if signal n ended it; 124 time out; 126,\n"
"127 the command cannot be run, is not found; 64 usage; 65 the key holds\n"
"something else; 69 the module is not loaded; 71 the system refused; 74 the\n"
"output cannot be written; 77 no\n"
"permission.\n", stdout);
}

/* ---- options ----------------------------------------------------------- */

/* Return: -1 to go on, or an exit status. */
static int parse(struct run *run, int argc, char **argv)
{
	enum { CACHE, KEY, TTL, ERROR_TTL, TIMEOUT, JSON, HELP_TEXT };
	static const struct option options[] = {
		{ "cache", required_argument, NULL, CACHE },
		{ "key", required_argument, NULL, KEY },
		{ "ttl", required_argument, NULL, TTL },
		{ "error-ttl", required_argument, NULL, ERROR_TTL },
		{ "timeout", required_argument, NULL, TIMEOUT },
		{ "json", no_argument, NULL, JSON },
		{ "help", no_argument, NULL, HELP_TEXT },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t *duration, timeout = DURATION_NEVER;
	int option, index = 0;

	opterr = 0;
	/* '+': what follows the command is the command's */
	while ((option = getopt_long(argc, argv, "+:h", options, &index)) != -1) {
		duration = NULL;
		switch (option) {
		case CACHE:
			run->store.name = optarg;
			run->store.own = false;
			break;
		case KEY:
			run->key_text = optarg;
			break;
		case TTL:
			duration = &run->ttl;
			break;
		case ERROR_TTL:
			duration = &run->error_ttl;
			break;
		case TIMEOUT:
			duration = &timeout;
			break;
		case JSON:
			run->json = true;
			break;
		case HELP_TEXT:
		case 'h':
			help();
			return 0;
		case ':':
			return usage_error(HELP, "%s wants a value", argv[optind - 1]);
		default:
			return usage_error(HELP, "no option '%s'", argv[optind - 1]);
		}
		if (duration && !duration_parse(optarg, duration))
			return usage_error(HELP, "--%s wants a time as 500ms, 30s, 5m, 2h or never, not '%s'",
					   options[index].name, optarg);
	}
	if (optind == argc)
		return usage_error(HELP, "name a command to run");
	if (run->key_text && !*run->key_text)
		return usage_error(HELP, "--key wants at least one byte");
	if (!*run->store.name || strlen(run->store.name) > 255)
		return usage_error(HELP, "--cache wants a name of 1 to 255 bytes");
	if (!timeout)
		return usage_error(HELP, "--timeout wants more than 0");
	if (timeout != DURATION_NEVER)
		run->deadline = now_ns() + timeout;
	run->argv = argv + optind;
	return -1;
}

/* ---- output ------------------------------------------------------------ */

static bool write_all(int fd, const char *data, size_t size)
{
	ssize_t n;

	for (; size; data += n, size -= n) {
		n = write(fd, data, size);
		if (n < 0 && errno != EINTR)
			return false;
		if (n < 0)
			n = 0;
	}
	return true;
}

static bool print_json(const struct run *run, const struct result *result, bool ran)
{
	printf("{\"key\": ");
	json_string(stdout, run->key.data, run->key.size);
	printf(", \"ran\": %s", ran ? "true" : "false");
	if (result->signal)
		printf(", \"exit_status\": null, \"signal\": %d", result->signal);
	else
		printf(", \"exit_status\": %d, \"signal\": null", result->status);
	printf(", \"stdout\": ");
	json_string(stdout, result->out, result->out_size);
	printf(", \"stderr\": ");
	json_string(stdout, result->err, result->err_size);
	puts("}");
	return !fflush(stdout) && !ferror(stdout);
}

static int print(const struct run *run, const struct result *result, bool ran)
{
	bool done;

	if (run->json)
		done = print_json(run, result, ran);
	else
		done = write_all(STDOUT_FILENO, result->out, result->out_size) &&
		       write_all(STDERR_FILENO, result->err, result->err_size);
	if (!done) {
		say("cannot write the output: %s", strerror(errno));
		return STATUS_IO;
	}
	return result->signal ? 128 + result->signal : result->status;
}

/* ---- running it -------------------------------------------------------- */

static void result_of(const struct exec *exec, struct result *result)
{
	*result = (struct result){
		.status = exec->status,
		.signal = exec->signal,
		.out = exec->out.data,
		.out_size = exec->out.size,
		.err = exec->err.data,
		.err_size = exec->err.size,
	};
}

static uint64_t ttl_of(const struct run *run, const struct result *result)
{
	uint64_t ttl = result->status || result->signal ? run->error_ttl : run->ttl;

	if (ttl == DURATION_NEVER)
		return ALAZY_NEVER;
	return ttl ?: BRIEFLY;
}

/* Give the result to all; if the cache does not take it, at least the news. */
static void publish(const struct run *run, const struct alazy_ticket *ticket,
		    const struct result *result)
{
	struct buf record = { 0 };
	char text[256];
	int err;

	err = record_encode(result, &record);
	if (!err)
		err = alazy_publish(ticket, record.data, record.size,
				    ttl_of(run, result));
	/* somebody set or removed the key meanwhile: that is what counts now */
	if (err && err != -ESTALE) {
		snprintf(text, sizeof(text),
			 "the %zu bytes of output are more than the cache '%.150s' %s",
			 result->out_size + result->err_size, run->store.name,
			 err == -EFBIG ? "takes in one result" : "has room for");
		if (err != -EFBIG && err != -ENOSPC)
			snprintf(text, sizeof(text), "the result cannot be stored: %s",
				 strerror(-err));
		say("%s; nobody else gets them", text);
		alazy_fail(ticket, err, ALAZY_TRANSIENT, 0, text);
		if (err == -ENOSPC)
			store_renew_name(&run->store);
	}
	buf_free(&record);
}

/* The command could not be started: all who wait are told, nothing is kept. */
static int not_started(const struct run *run, const struct alazy_ticket *ticket,
		       int error)
{
	bool absent = error == ENOENT;
	char text[256];

	snprintf(text, sizeof(text), "%.200s: %s", run->argv[0],
		 absent ? "command not found" : strerror(error));
	say("%s", text);
	/* two numbers that the library itself never answers such a claim with */
	if (ticket)
		alazy_fail(ticket, absent ? -ENOENT : -ENOEXEC, ALAZY_TRANSIENT, 0,
			   text);
	return absent ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
}

static int end_by_signal(int signo)
{
	signal(signo, SIG_DFL);
	raise(signo);
	return 128 + signo;
}

/* @ticket: NULL to run it for nobody else. Return: our exit status. */
static int run_here(struct run *run, const struct alazy_ticket *ticket)
{
	struct exec exec = { 0 };
	struct result result;
	int status;
	int ended = exec_capture(&exec, run->argv, run->deadline);

	switch (ended) {
	case EXEC_ENDED:
		result_of(&exec, &result);
		if (ticket)
			publish(run, ticket, &result);
		status = print(run, &result, true);
		break;
	case EXEC_NOT_STARTED:
		status = not_started(run, ticket, exec.error);
		break;
	default:
		/* the next who waits may have more luck, or more time */
		if (ticket)
			alazy_abandon(ticket);
		if (ended == EXEC_CAUGHT) {
			status = end_by_signal(exec.caught);
		} else if (ended == EXEC_TIMED_OUT) {
			say("timed out: the command was ended");
			status = STATUS_TIMEOUT;
		} else {
			say("cannot run the command: %s", strerror(-ended));
			status = STATUS_SYSTEM;
		}
	}
	exec_free(&exec);
	return status;
}

static int print_stored(const struct run *run, struct alazy_ref *ref)
{
	struct result result;
	int status;

	if (record_decode(ref->data, ref->size, &result)) {
		say("the key in the cache '%s' holds something that is not a command's result",
		    run->store.name);
		status = STATUS_DATA;
	} else {
		status = print(run, &result, false);
	}
	alazy_ref_put(ref);
	return status;
}

/* The one who ran it told us why there is no result. */
static int take_error(struct run *run, int err)
{
	const char *detail = alazy_strerror_detail();

	switch (err) {
	case -ENOENT:
		say("%s", detail);
		return STATUS_NOT_FOUND;
	case -ENOEXEC:
		say("%s", detail);
		return STATUS_NOT_EXECUTABLE;
	case -EFBIG:
	case -ENOSPC:
		say("%s; running the command here", detail);
		return run_here(run, NULL);
	default:
		say("no result: %s: %s", strerror(-err), detail);
		return STATUS_SYSTEM;
	}
}

/* Return: an exit status, or -1 to ask again. */
static int answered(struct run *run, struct alazy_answer *answer)
{
	switch (answer->kind) {
	case ALAZY_ANSWER_HIT:
		return print_stored(run, &answer->ref);
	case ALAZY_ANSWER_TICKET:
		return run_here(run, &answer->ticket);
	case ALAZY_ANSWER_FAILED:
		/* given up, and we were on nobody's list at that moment */
		if (answer->err == -ECANCELED || answer->err == -EOWNERDEAD)
			return -1;
		return take_error(run, answer->err);
	default:
		return -1;
	}
}

static int refused(struct run *run, int err)
{
	switch (err) {
	case -ETIMEDOUT:
		say("timed out: the command still runs for others");
		return STATUS_TIMEOUT;
	case -ENOSPC:
		if (store_move(&run->store))
			return -1;
		say("the cache '%s' has no room for another key; running the command for this call only",
		    run->store.name);
		return run_here(run, NULL);
	case -EACCES:
		say("no permission to write to the cache '%s'", run->store.name);
		return STATUS_PERMISSION;
	default:
		say("cannot ask the cache '%s': %s: %s", run->store.name,
		    strerror(-err), alazy_strerror_detail());
		return STATUS_SYSTEM;
	}
}

static int ask(struct run *run)
{
	struct alazy_answer answer;
	int err, status;

	do {
		memset(&answer, 0, sizeof(answer));
		err = alazy_claim(run->store.cache, run->key.data, run->key.size,
				  ALAZY_CLAIM_INIT | ALAZY_CLAIM_BLOCK,
				  run->deadline, NULL, NULL, &answer);
		status = err ? refused(run, err) : answered(run, &answer);
	} while (status < 0);
	return status;
}

int cmd_run(int argc, char **argv)
{
	struct run run = {
		.ttl = 60 * SECOND,
		.error_ttl = 1 * SECOND,
		.deadline = ALAZY_NEVER,
	};
	int status, err;

	store_default(&run.store);
	status = parse(&run, argc, argv);
	if (status >= 0)
		return status;
	status = store_open(&run.store);
	if (status)
		return status;
	err = run.key_text ? key_of_text(run.key_text, &run.key) :
			     key_of_command(run.argv, &run.key);
	if (err) {
		say("cannot make the key: %s", strerror(-err));
		status = STATUS_SYSTEM;
	} else {
		status = ask(&run);
	}
	store_close(&run.store);
	buf_free(&run.key);
	return status;
}
