/** The archiver: decides which files go to tape, writes them, reads them back, and turns them into stubs. */
export { runArchive } from './archive.ts';
export { runRelease } from './release.ts';
export { runVerify, type DamagedObject, type VerifyObserver, type VerifyRequest, type VerifySummary } from './verify.ts';
export type {
  ArchiveRequest,
  ArchiverCatalog,
  ArchiverContext,
  ArchiverNative,
  FileOutcome,
  InodeLocks,
  ManagedFilesystem,
  Observer,
  ReleaseRequest,
  SkipReason,
} from './context.ts';
