// fault: named points where a test makes the process die or stumble. In a build without FAULTS
// the macro is nothing at all. PENSTOCK_FAULT="settle.before:3" dies by SIGKILL at the third visit.
#ifndef PENSTOCK_BASE_FAULT_H
#define PENSTOCK_BASE_FAULT_H

#ifdef PENSTOCK_FAULTS
void fault_point(const char *name);
#define FAULT(name) fault_point(name)
#else
#define FAULT(name) ((void)0)
#endif

#endif
