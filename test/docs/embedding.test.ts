/** The table of docs/embedding.md is complete and true. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkTable, readTable } from './check-table.js';

const THEIRS: Readonly<Record<string, string>> = {
  'The extractor with an image cache':
    'FetchImage FetchLayer ExtractLayer ExtractLayers RootFS ImageCache ImageCache.LocalStore ImageCache.TargetPlatform ImageCache.RemoteRepository ImageCache.Resolve ImageCache.Fetch ImageCache.Exists',
  'The pull tool':
    'Annotations Config Flag Layer Manifest ManifestsResp Platform TokenResponse DownloadImage Execute Package RemoveImageSaveDir GetManifest GetManifestByDigest GetToken',
  'The registry client':
    'NewClient Client.GetManifest Client.GetConfig Client.ListRepositories Client.ListInstances Client.ListTags Client.SetTag GetDigest GetConfig SplitImage ImageConfig ImageConfig_Config ImageConfig_History ImageConfig_RootFS ImageInstance ImageInstanceSlice Manifest MediaConfig',
  "The engine's distribution package":
    'GetRepository Pull Push Config Config.MetaHeaders Config.AuthConfig Config.ProgressOutput Config.RegistryService Config.ImageEventLogger Config.MetadataStore Config.ImageStore Config.ReferenceStore ContentStore ImageConfigStore ImagePullConfig ImagePushConfig PushLayer PushLayerProvider NewLayerProvidersFromStore NewImageConfigStoreFromStore RegistryResolver',
};

test('everything of the four systems stands in the table', () => {
  const rows = readTable();
  for (const [system, names] of Object.entries(THEIRS)) {
    const there = rows.filter((row) => row.system === system).map(({ theirs }) => theirs);
    assert.deepEqual(
      names.split(' ').filter((name) => !there.includes(name)),
      [],
      system,
    );
  }
});

test('every name on the right is exported, every test exists', async () => {
  assert.deepEqual(await checkTable(readTable()), []);
});

test('the check finds what is wrong', async () => {
  const row = {
    system: '',
    theirs: 'X',
    ours: ['ImageCache.resolve'],
    file: 'test/docs/embedding.test.ts',
    title: 'the check finds what is wrong',
  };
  assert.deepEqual(await checkTable([row]), []);
  for (const [wrong, problem] of [
    [{ ours: ['ImageCash'] }, /is not exported/],
    [{ ours: ['ImageCache.resolv'] }, /has no resolv/],
    [{ ours: ['engine.pul'] }, /has no pul/],
    [{ ours: [] }, /nothing of ours/],
    [{ file: 'test/none.test.ts' }, /there is no/],
    [{ title: 'no such' }, /has no test/],
  ] as const) {
    const [found = '', ...more] = await checkTable([{ ...row, ...wrong }]);
    assert.match(found, problem);
    assert.deepEqual(more, []);
  }
});
