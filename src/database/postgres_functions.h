/* database/postgres_functions.h - the functions of libpq that are used; library_load fills them in. */
#ifndef DATABASE_POSTGRES_FUNCTIONS_H
#define DATABASE_POSTGRES_FUNCTIONS_H

#include <libpq-fe.h>

/* Without their prefix PQ. */
/* clang-format off */
#define POSTGRES_FUNCTIONS(X) \
    X(conninfoParse) X(conninfoFree) \
    X(connectStartParams) X(connectPoll) X(finish) X(status) X(socket) X(serverVersion) X(backendPID) \
    X(host) X(hostaddr) X(port) \
    X(errorMessage) X(setErrorVerbosity) X(setNoticeReceiver) X(setnonblocking) X(transactionStatus) \
    X(sendPrepare) X(sendQueryPrepared) X(sendQuery) X(sendQueryParams) X(flush) X(consumeInput) X(isBusy) X(getResult) \
    X(clear) X(resultStatus) X(resultErrorField) X(cmdStatus) X(cmdTuples) \
    X(ntuples) X(nfields) X(fname) X(ftype) X(getvalue) X(getlength) X(getisnull)
/* clang-format on */

#define POSTGRES_POINTER(name) __typeof__(PQ##name) *name;
#define POSTGRES_NAME(name)    "PQ" #name,

typedef struct postgres_functions {
    POSTGRES_FUNCTIONS(POSTGRES_POINTER)
} postgres_functions;

#endif
