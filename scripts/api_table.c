/* An extension that registers nothing: it notes the names of the functions in the table that DuckDB hands it. */
#define _GNU_SOURCE
#include <dlfcn.h>

struct extension_input {
	const void *(*get_api)(void *extension, const char *version);
	void *extension, *context, *err;
};

const char *api_table[8192];

void api_table_init_c_api_v2(struct extension_input *input) {
	const void *const *table = input->get_api(input->extension, "v2.0.0");
	Dl_info symbol;
	for (int i = 0; i < 8191 && dladdr(table[i], &symbol) && symbol.dli_saddr == table[i]; i++) {
		api_table[i] = symbol.dli_sname;
	}
}
