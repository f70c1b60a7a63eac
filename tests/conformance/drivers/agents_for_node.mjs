// A user of @openai/agents-realtime: an agent with a session over the library's own WebSocket transport.
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { z } from 'zod';
import { chunks, deeds, see, token, url } from './stage.mjs';

const weather = tool({
  name: 'weather',
  description: 'The weather of a city.',
  parameters: z.object({ city: z.string() }),
  execute: async (given) => {
    see('tool', { name: 'weather', arguments: given });
    return 'It rains.';
  },
});

const tools = process.argv.includes('tools') ? [weather] : [];
const agent = new RealtimeAgent({ name: 'Joe', instructions: 'Be brief.', tools });
const transport = new OpenAIRealtimeWebSocket({
  url: `${url.replace(/^http/, 'ws')}/v1/realtime?model=gpt-realtime`,
  useInsecureApiKey: true,
});
const session = new RealtimeSession(agent, { transport, model: 'gpt-realtime' });

const heard = new Set();
session.on('audio', (event) => see('sound', { audio: Buffer.from(event.data).toString('base64') }));
session.on('audio_interrupted', () => see('interrupted'));
session.on('agent_end', (_context, _agent, text) => see('said', { text }));
session.on('history_updated', (history) => {
  for (const item of history) {
    const words = item.type === 'message' && item.role === 'user' && item.content.map((part) => part.transcript ?? '').join('');
    if (words && !heard.has(item.itemId)) {
      heard.add(item.itemId);
      see('heard', { text: words });
    }
  }
});
session.on('error', ({ error }) => see('trouble', { text: error?.error?.message ?? String(error), code: error?.error?.code }));
transport.on('session.updated', (event) => see('connected', { instructions: event.session.instructions }));
transport.on('connection_change', (status) => status === 'disconnected' && see('closed', { text: status }));

await session.connect({ apiKey: token });
for await (const deed of deeds()) {
  if (deed.do === 'speak') for (const chunk of chunks(deed.file)) session.sendAudio(chunk);
  if (deed.do === 'write') session.sendMessage(deed.text);
  if (deed.do === 'instruct') transport.updateSessionConfig({ instructions: deed.text });
  if (deed.do === 'blunder') transport.sendEvent({ type: 'response.cancel' });
}
session.close();
