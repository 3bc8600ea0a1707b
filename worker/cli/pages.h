// pages: what is printed from the two tables, the verbs' and the settings', besides --help.
#ifndef PENSTOCK_CLI_PAGES_H
#define PENSTOCK_CLI_PAGES_H

// pages_man prints penstock.1, in the man(7) macros.
void pages_man(void);
// pages_bash, pages_zsh and pages_fish print completion for penstock and penstock-worker.
void pages_bash(void);
void pages_zsh(void);
void pages_fish(void);

#endif
