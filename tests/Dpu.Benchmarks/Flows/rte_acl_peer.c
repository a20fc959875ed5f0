/*
 * DPDK's rte_acl as a peer of 'bench flows': reads rules and headers, compiles them, and for each line of its input
 * ("scalar" or "best") classifies all headers again and again for half a second of the processor's time. Prints "built SECONDS
 * BEST", then for each line millions of headers a second of that, and for the first the rule of each header into the third file.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <rte_acl.h>
#include <rte_cpuflags.h>
#include <rte_eal.h>
#include <rte_vect.h>

struct header {
	uint8_t protocol;
	uint8_t unused[3];
	uint32_t source, destination;
	uint16_t source_port, destination_port;
};

struct rule {
	uint32_t source, source_length, destination, destination_length;
	uint16_t source_low, source_high, destination_low, destination_high;
	uint32_t protocol, protocol_mask;
};

RTE_ACL_RULE_DEF(five_tuple, 5);

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *slurp(const char *path, size_t item, size_t *count)
{
	FILE *file = fopen(path, "rb");
	if (!file || fseek(file, 0, SEEK_END)) {
		perror(path);
		exit(1);
	}
	long size = ftell(file);
	rewind(file);
	void *data = malloc(size);
	if (!data || fread(data, 1, size, file) != (size_t)size) {
		perror(path);
		exit(1);
	}
	fclose(file);
	*count = size / item;
	return data;
}

int main(int argc, char **argv)
{
	static const struct rte_acl_field_def fields[5] = {
		{ RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0, offsetof(struct header, protocol) },
		{ RTE_ACL_FIELD_TYPE_MASK, 4, 1, 1, offsetof(struct header, source) },
		{ RTE_ACL_FIELD_TYPE_MASK, 4, 2, 2, offsetof(struct header, destination) },
		{ RTE_ACL_FIELD_TYPE_RANGE, 2, 3, 3, offsetof(struct header, source_port) },
		{ RTE_ACL_FIELD_TYPE_RANGE, 2, 4, 3, offsetof(struct header, destination_port) },
	};
	char *eal[] = { argv[0], "--no-huge", "-m", "3072", "--no-pci", "--no-telemetry", "--no-shconf",
			"-l", "0", "--force-max-simd-bitwidth=512", NULL };
	size_t rules_count, count;
	if (argc != 4 || rte_eal_init(10, eal) < 0)
		return 2;
	struct rule *rules = slurp(argv[1], sizeof(struct rule), &rules_count);
	struct header *headers = slurp(argv[2], sizeof(struct header), &count);
	struct rte_acl_param parameters = {
		.name = "bench", .socket_id = -1, .rule_size = RTE_ACL_RULE_SZ(5), .max_rule_num = rules_count };
	struct rte_acl_ctx *context = rte_acl_create(&parameters);
	for (size_t i = 0; i < rules_count; i++) {
		const struct rule *r = &rules[i];
		struct five_tuple t;
		memset(&t, 0, sizeof(t));
		t.data.category_mask = 1;
		t.data.priority = RTE_ACL_MAX_PRIORITY - (int32_t)i;
		t.data.userdata = i + 1;
		t.field[0].value.u8 = r->protocol;
		t.field[0].mask_range.u8 = r->protocol_mask;
		t.field[1].value.u32 = r->source;
		t.field[1].mask_range.u32 = r->source_length;
		t.field[2].value.u32 = r->destination;
		t.field[2].mask_range.u32 = r->destination_length;
		t.field[3].value.u16 = r->source_low;
		t.field[3].mask_range.u16 = r->source_high;
		t.field[4].value.u16 = r->destination_low;
		t.field[4].mask_range.u16 = r->destination_high;
		if (!context || rte_acl_add_rules(context, (struct rte_acl_rule *)&t, 1)) {
			fprintf(stderr, "rule %zu is refused\n", i);
			return 1;
		}
	}
	struct rte_acl_config config = { .num_categories = 1, .num_fields = 5 };
	memcpy(config.defs, fields, sizeof(fields));
	double start = now();
	if (rte_acl_build(context, &config)) {
		fprintf(stderr, "rte_acl cannot compile the rules\n");
		return 1;
	}
	enum rte_acl_classify_alg best = RTE_ACL_CLASSIFY_SCALAR;
	const enum rte_acl_classify_alg all[] = { RTE_ACL_CLASSIFY_AVX512X32, RTE_ACL_CLASSIFY_AVX2, RTE_ACL_CLASSIFY_SSE, RTE_ACL_CLASSIFY_NEON };
	for (int i = 0; i < 4 && best == RTE_ACL_CLASSIFY_SCALAR; i++)
		if (!rte_acl_set_ctx_classify(context, all[i]))
			best = all[i];
	printf("built %.3f %d\n", now() - start, best);
	fflush(stdout);
	const uint8_t **data = malloc(count * sizeof(*data));
	uint32_t *results = malloc(count * sizeof(*results));
	for (size_t i = 0; i < count; i++)
		data[i] = (const uint8_t *)&headers[i];
	char line[32];
	for (int round = 0; fgets(line, sizeof(line), stdin); round++) {
		enum rte_acl_classify_alg alg = strncmp(line, "scalar", 6) ? best : RTE_ACL_CLASSIFY_SCALAR;
		double done = 0;
		start = now();
		do {
			for (size_t i = 0; i < count; i += 256) {
				uint32_t n = count - i < 256 ? count - i : 256;
				if (rte_acl_classify_alg(context, data + i, results + i, n, 1, alg))
					return 1;
			}
			done += count;
		} while (now() - start < 0.5);
		printf("%.4f\n", done / (now() - start) / 1e6);
		fflush(stdout);
		if (round == 0) {
			FILE *file = fopen(argv[3], "wb");
			if (!file || fwrite(results, sizeof(*results), count, file) != count || fclose(file))
				return 1;
		}
	}
	return 0;
}
