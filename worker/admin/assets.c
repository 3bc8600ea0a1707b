// assets: the dashboard's files, as they were built in. They hold nothing secret and ask for no
// token; what they show is asked of the API.
#include "worker/admin/admin_int.h"

#include <string.h>

// clang-format off
#define ASSET_MAP(XX)                                                                             \
    XX("/", index_html, "text/html; charset=utf-8")                                               \
    XX("/app.css", app_css, "text/css; charset=utf-8")                                            \
    XX("/uplot.min.css", uplot_min_css, "text/css; charset=utf-8")                                \
    XX("/icon.svg", icon_svg, "image/svg+xml")                                                    \
    XX("/uplot.min.js", uplot_min_js, ASSET_JS)                                                   \
    XX("/app.js", app_js, ASSET_JS)                                                               \
    XX("/api.js", api_js, ASSET_JS)                                                               \
    XX("/ask.js", ask_js, ASSET_JS)                                                               \
    XX("/charts.js", charts_js, ASSET_JS)                                                         \
    XX("/dead.js", dead_js, ASSET_JS)                                                             \
    XX("/dom.js", dom_js, ASSET_JS)                                                               \
    XX("/fmt.js", fmt_js, ASSET_JS)                                                               \
    XX("/job.js", job_js, ASSET_JS)                                                               \
    XX("/judge.js", judge_js, ASSET_JS)                                                           \
    XX("/now.js", now_js, ASSET_JS)                                                               \
    XX("/panels.js", panels_js, ASSET_JS)                                                         \
    XX("/tables.js", tables_js, ASSET_JS)
#define ASSET_JS "text/javascript; charset=utf-8"

#define XX(path, symbol, type)                                                                    \
    extern const char embed_##symbol[];                                                           \
    extern const unsigned embed_##symbol##_len;
ASSET_MAP(XX)
#undef XX

static const struct {
    const char *path, *type, *at;
    const unsigned *len;
} assets[] = {
#define XX(name, symbol, kind) {name, kind, embed_##symbol, &embed_##symbol##_len},
    ASSET_MAP(XX)
#undef XX
};
// clang-format on

bool asset_find(const char *path, struct asset *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(assets); i++) {
        if (strcmp(path, assets[i].path) != 0)
            continue;
        *ret = (struct asset){assets[i].at, *assets[i].len, assets[i].type};
        return true;
    }
    return false;
}
