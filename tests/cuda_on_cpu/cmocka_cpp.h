/* cmocka for C++. */
#ifndef CMOCKA_CPP_H
#define CMOCKA_CPP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}

#endif
