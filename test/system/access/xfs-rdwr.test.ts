import { accessSuite } from '../../suites/access.ts';

accessSuite('xfs', { eventFd: 'rdwr' });
