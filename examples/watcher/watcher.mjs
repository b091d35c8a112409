// Watches every delivery live, and goes on where it was after the connection or the server was gone.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const token = process.env.ACCESS_TOKEN;
if (!token) throw new Error('set ACCESS_TOKEN to an access token of the tenant (hgt_…)');
const url = process.env.HOOKGRAPH_URL ?? 'ws://127.0.0.1:8080/graphql';
const client = createClient({
    url,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    retryAttempts: 0, // its own retry would subscribe without the cursor: the loop below does not
});
const query = `subscription ($after: String) {
    deliveryUpdated(after: $after) { cursor at state attemptCount deliveryId webhookId }
}`;

let after = process.env.AFTER; // a cursor that was kept: of the last entry seen, or `delivery { feedCursor }`
while (true) {
    try {
        for await (const { data, errors } of client.iterate({ query, variables: { after } })) {
            if (errors?.[0].extensions?.code === 'CURSOR_TOO_OLD') {
                after = errors[0].extensions.oldestCursor; // what lies between is in the log: delivery { getMany }
                console.error('too long away: what was missed is in the log, going on with the oldest that is kept');
                break;
            }
            if (errors) throw new Error(errors[0].message);
            const { cursor, at, state, attemptCount, deliveryId } = data.deliveryUpdated;
            console.log(`${at} ${deliveryId} ${state}, attempts: ${attemptCount}`);
            after = cursor; // a real watcher keeps it with what it did about the entry
        }
    } catch (error) {
        // A wrong token, query or cursor stays wrong. The code is that of a WebSocket that was closed.
        if (error.code >= 4400) throw new Error(error.reason);
        if (Array.isArray(error)) throw new Error(error[0].message);
        if (error instanceof Error) throw error;
        // So does a wrong URL: what answers there is no WebSocket. A server that is busy (429) or away (5xx) comes back.
        const status = Number(/^Unexpected server response: (\d+)$/.exec(error.message)?.[1]);
        if (status < 500 && status !== 429) throw new Error(`${url} answered ${status}: is that the URL of the API?`);
        const lost = status ? `${url} answered ${status}` : error.message || error.error?.code;
        const why = lost || `closed with ${[error.code, error.reason].filter(Boolean).join(' ')}`;
        console.error(`the connection was lost, once more in a second: ${why}`);
        await new Promise((resume) => setTimeout(resume, 1000));
    }
}
