/** Lists in pages. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { createRegistry } from '../../src/registry/registry.js';
import { type Act, type Case, runCases } from '../support/fault-case.js';

const listTags: Act = async (repository, events) => {
  const tags: string[] = [];
  for await (const tag of repository.tags({ onProgress: (event) => events.push(event) })) tags.push(tag);
  assert.deepEqual(tags, ['a', 'b', 'c', 'd', 'latest']);
};

runCases('Lists in pages', [
  { name: 'tags come in pages', act: listTags, server: { pageSize: 2 }, ends: 'whole', requests: 3 },
  {
    name: 'pages are linked by absolute URLs',
    act: listTags,
    server: { pageSize: 2 },
    faults: [{ on: 'tags', do: 'paging', as: 'absolute' }],
    ends: 'whole',
    requests: 3,
  },
  {
    name: 'pages are linked in the body',
    act: listTags,
    server: { pageSize: 2 },
    faults: [{ on: 'tags', do: 'paging', as: 'json-next' }],
    ends: 'whole',
    requests: 3,
  },
  {
    name: 'pages go round in a circle',
    act: listTags,
    server: { pageSize: 3 },
    faults: [{ on: 'tags', do: 'paging', as: 'loop' }],
    ends: 'whole',
    requests: 4,
    also: ({ events }) => assert.match(JSON.stringify(events), /come round again; it may not be whole/),
  },
  {
    name: 'the next page is at another origin',
    act: listTags,
    server: { pageSize: 2 },
    faults: [{ on: 'tags', do: 'paging', as: 'other-origin' }],
    ends: 'ERR_REGISTRY',
    requests: 1,
    message: /another origin/,
  },
  ...[
    '</v2/app/tags/list?last=b>',
    '/v2/app/tags/list?last=b; rel="next"',
    "</v2/app/tags/list?last=b>; rel='next'",
    // The bracket of the other side is missing: skopeo and docker go on, and a list that ends here would pass for whole.
    '</v2/app/tags/list?last=b',
    '/v2/app/tags/list?last=b>',
    '</nowhere>; title="a", </v2/app/tags/list?last=b>; rel="next"',
  ].map(
    (link): Case => ({
      name: `the next page is named loosely: ${link}`,
      act: listTags,
      faults: [{ on: 'tags', times: 1, do: 'answer', status: 200, headers: { link }, body: { tags: ['a', 'b'] } }],
      ends: 'whole',
      requests: 2,
    }),
  ),
  {
    name: 'the list comes compressed, unasked',
    act: listTags,
    faults: [
      {
        on: 'tags',
        do: 'answer',
        status: 200,
        headers: { 'content-encoding': 'gzip' },
        body: gzipSync('{"tags":["a","b","c","d","latest"]}'),
      },
    ],
    ends: 'whole',
    requests: 1,
  },
  {
    name: 'the list is null',
    act: async (repository) => assert.equal((await repository.tags().next()).done, true),
    faults: [{ on: 'tags', do: 'paging', as: 'null' }],
    ends: 'whole',
    requests: 1,
  },
  {
    name: 'the list is a page',
    act: listTags,
    faults: [{ on: 'tags', do: 'html' }],
    ends: 'ERR_REGISTRY',
    requests: 1,
  },
  {
    name: 'the list is an error with the status of an answer',
    act: listTags,
    faults: [{ on: 'tags', do: 'answer', status: 200, body: { errors: [{ code: 'NAME_UNKNOWN' }] } }],
    ends: 'ERR_REGISTRY',
    requests: 1,
    message: /something that is no list \(it holds errors instead\)/,
  },
  ...['[]', '["a"]', '"a"', '7'].map(
    (body): Case => ({
      name: `another value is no list of tags: ${body}`,
      act: listTags,
      faults: [{ on: 'tags', do: 'answer', status: 200, body }],
      ends: 'ERR_REGISTRY',
      requests: 1,
      message: /something that is no list \(it is no JSON object\)/,
    }),
  ),
  {
    name: 'the list is a number',
    act: listTags,
    faults: [{ on: 'tags', do: 'answer', status: 200, body: { tags: 5 } }],
    ends: 'ERR_REGISTRY',
    requests: 1,
  },
  {
    name: 'the second page is 503 once',
    act: listTags,
    server: { pageSize: 3 },
    faults: [{ on: 'tags', nth: 2, times: 1, do: 'answer', status: 503 }],
    ends: 'whole',
    requests: 3,
  },
  {
    name: 'there is no catalog',
    act: async (_, __, registry) => void (await createRegistry(registry.host).repositories().next()),
    faults: [{ on: 'catalog', do: 'answer', status: 404 }],
    ends: 'ERR_NOT_FOUND',
    // The second one asks the root whether a login is wanted.
    requests: 2,
  },
]);
