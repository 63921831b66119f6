/* rhosweep report: hands a database to the Python package of reports/. */
#ifndef RS_REPORT_H
#define RS_REPORT_H

#include "../../kernels/base/status.h"

enum { RS_REPORT_MAX_ARGUMENTS = 96 };

typedef struct rs_report_request {
    const char *database;
    const char *argument[RS_REPORT_MAX_ARGUMENTS]; /* of rhosweep-report, NULL at the end */
} rs_report_request;

/* Checks that the database can be read, then becomes the Python program, which finds this one again
 * through the environment variable RHOSWEEP. So it returns only to say why it could not. Python is
 * the first of: what RHOSWEEP_PYTHON names; venv of share/rhosweep where the program is installed,
 * .venv of the source folder where it was built; rhosweep-report on the PATH; python3 on the PATH.
 * All but rhosweep-report run the reports that came with the program, if they are still beside it.
 * RS_EINPUT for a database that is missing, damaged, foreign or newer. */
rs_status rs_report(const rs_report_request *request);

#endif
