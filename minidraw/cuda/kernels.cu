// The kernels of minidraw on a GPU. Each stands for one function of the package, which is its definition and explains
// its mathematics; fused.py calls them behind the same names. Letters are those of the Python files.
//
// The text is compiled once for float and once for double (REAL). It includes nothing, so that g++ can compile it too
// and the tests can run it without a GPU. Every matrix lies in rows; "stride" is the distance of two rows in elements.
// Kernels of one thread an element take any block; those of one block an image take whole warps. Sums are added in an
// order that depends on the size of the block alone, so that results repeat to the bit.

#ifndef REAL
#define REAL float
#endif
typedef REAL real;

#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif

#define EVERY_LANE 0xffffffffu

__device__ inline long long thread_index() { return (long long)blockIdx.x * blockDim.x + threadIdx.x; }

__device__ inline real sigmoid_of(real x) { return real(0.5) * tanh(real(0.5) * x) + real(0.5); }

// Every lane gets the sum over its warp.
template <class T> __device__ inline T warp_sum(T value)
{
    for (int lane = 16; lane > 0; lane >>= 1) value += __shfl_xor_sync(EVERY_LANE, value, lane);
    return value;
}

// Every thread gets the sum over its block; `shared` holds a number for every warp. All threads must call it.
template <class T> __device__ inline T block_sum(T value, T* shared)
{
    value = warp_sum(value);
    __syncthreads();  // whoever still reads what an earlier sum left in `shared` has done so
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
    __syncthreads();
    T sum = 0;
    for (int warp = 0; warp < int(blockDim.x / 32); warp++) sum += shared[warp];
    return sum;
}

// ------------------------------------------------------------------------------------------------------- lstm.py

// After the product: gates (B, 4h) hold inputs W and become i, f, o, g. The bias has stride 0 where all rows share it.
extern "C" __global__ void lstm_forward(
    real* gates, const real* bias, int bias_stride, const real* cell_before, real* cell_after, real* hidden,
    int hidden_stride, int B, int h)
{
    long long k = thread_index();
    if (k >= (long long)B * h) return;
    long long row = k / h;
    int unit = int(k % h);
    real* a = gates + row * 4 * h + unit;
    const real* b = bias + row * bias_stride + unit;
    real i = sigmoid_of(a[0] + b[0]);
    real f = sigmoid_of(a[h] + b[h]);
    real o = sigmoid_of(a[2 * h] + b[2 * h]);
    real g = tanh(a[3 * h] + b[3 * h]);
    real cell = f * cell_before[k] + i * g;
    a[0] = i;
    a[h] = f;
    a[2 * h] = o;
    a[3 * h] = g;
    cell_after[k] = cell;
    hidden[row * hidden_stride + unit] = o * tanh(cell);
}

// Before the product: gates (B, 4h) become the gradient of what lstm_forward found in them plus the bias.
extern "C" __global__ void lstm_backward(
    real* gates, const real* cell_before, const real* cell_after, const real* dhidden, int dhidden_stride, real* dcell,
    int B, int h)
{
    long long k = thread_index();
    if (k >= (long long)B * h) return;
    long long row = k / h;
    int unit = int(k % h);
    real* a = gates + row * 4 * h + unit;
    real i = a[0], f = a[h], o = a[2 * h], g = a[3 * h];
    real d = dhidden[row * dhidden_stride + unit];
    real t = tanh(cell_after[k]);
    real dc = dcell[k] + d * o * (1 - t * t);
    a[0] = dc * g * i * (1 - i);
    a[h] = dc * cell_before[k] * f * (1 - f);
    a[2 * h] = d * t * o * (1 - o);
    a[3 * h] = dc * i * (1 - g * g);
    dcell[k] = dc * f;
}

// ----------------------------------------------------------------------------------------------------- latent.py

// After the product: q (B, 2Z) holds h_enc W and becomes mu, log sigma.
extern "C" __global__ void sample_forward(
    real* q, const real* bias, const real* noise, real* sigma, real* z, int z_stride, int B, int Z)
{
    long long k = thread_index();
    if (k >= (long long)B * Z) return;
    long long row = k / Z;
    int unit = int(k % Z);
    real* of = q + row * 2 * Z + unit;
    real mu = of[0] + bias[unit], log_sigma = of[Z] + bias[Z + unit];
    real s = exp(log_sigma);
    of[0] = mu;
    of[Z] = log_sigma;
    sigma[k] = s;
    z[row * z_stride + unit] = mu + s * noise[k];
}

// Before the product: q (B, 2Z) becomes its gradient, with that of `scale` times the divergence.
extern "C" __global__ void sample_backward(
    real* q, const real* sigma, const real* noise, const real* dz, int dz_stride, real scale, int B, int Z)
{
    long long k = thread_index();
    if (k >= (long long)B * Z) return;
    long long row = k / Z;
    int unit = int(k % Z);
    real* of = q + row * 2 * Z + unit;
    real d = dz[row * dz_stride + unit], s = sigma[k];
    of[0] = scale * of[0] + d;
    of[Z] = scale * (s * s - 1) + d * noise[k] * s;
}

// A warp for every one of `rows` rows.
extern "C" __global__ void divergence(const real* q, const real* sigma, real* kl, int rows, int Z)
{
    long long row = thread_index() / 32;
    int lane = threadIdx.x % 32;
    if (row >= rows) return;  // whole warps
    const real *mu = q + row * 2 * Z, *log_sigma = mu + Z;
    real sum = 0;
    for (int k = lane; k < Z; k += 32) {
        real s = sigma[row * Z + k];
        sum += mu[k] * mu[k] + s * s - 2 * log_sigma[k] - 1;
    }
    sum = warp_sum(sum);
    if (lane == 0) kl[row] = real(0.5) * sum;
}

// ------------------------------------------------------------------------------------------------- likelihood.py

extern "C" __global__ void sigmoid(const real* x, real* out, long long n)
{
    long long k = thread_index();
    if (k < n) out[k] = sigmoid_of(x[k]);
}

// A block for every image; shared memory: a number a warp.
extern "C" __global__ void reconstruction(const real* x, int x_stride, const real* canvas, real* nats, int P)
{
    DYNAMIC_SHARED(real, shared);
    x += (long long)blockIdx.x * x_stride;
    canvas += (long long)blockIdx.x * P;
    real sum = 0;
    for (int k = threadIdx.x; k < P; k += blockDim.x) {
        real c = canvas[k];
        sum += (c > 0 ? c : 0) + log1p(exp(-fabs(c))) - x[k] * c;
    }
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) nats[blockIdx.x] = sum;
}

extern "C" __global__ void reconstruction_backward(
    const real* x, int x_stride, const real* mean, real scale, real* dcanvas, int B, int P)
{
    long long k = thread_index();
    if (k < (long long)B * P) dcanvas[k] = scale * (mean[k] - x[k / P * x_stride + k % P]);
}

// ------------------------------------------------------------------------------------------------- recurrence.py

// images (B, 2, P): the image, and beside it the error image that is filled here.
extern "C" __global__ void error_image(real* images, const real* mean, int B, int P)
{
    long long k = thread_index();
    if (k >= (long long)B * P) return;
    real* x = images + k / P * 2 * P + k % P;
    x[P] = x[0] - mean[k];
}

extern "C" __global__ void error_image_backward(
    const real* mean, const real* derror, int derror_stride, real* dcanvas, int B, int P)
{
    long long k = thread_index();
    if (k >= (long long)B * P) return;
    real m = mean[k];
    dcanvas[k] -= derror[k / P * derror_stride + k % P] * m * (1 - m);
}

// -------------------------------------------------------------------------------------------------- attention.py
// A block for every image. Where threads read what others wrote, in shared memory or in the trace, __syncthreads stands
// between; such arrays are never declared __restrict__ or const, which would let a compiler read stale copies of them.

// Where filter i (from zero) of a side of A pixels lies, as attention.place and attention.filterbank have it.
struct Place {
    real nearest, remainder;  // a*, and 2 (a* - mu)
    __device__ Place(const real* window, int i, int A, int longest, int N, int axis)
    {
        real centre = (window[axis] + 1) * (real(A + 1) / 2);
        real mu = centre + grid(i, N) * delta(window, longest, N);
        nearest = fmin(fmax(rint(mu), real(1)), real(A));
        remainder = 2 * (nearest - mu);
    }
    __device__ static real grid(int i, int N) { return real(i + 1) - (real(N) / 2 + real(0.5)); }
    __device__ static real delta(const real* window, int longest, int N)
    {
        return exp(window[3]) * (real(longest - 1) / real(N - 1));
    }
};

// attention.faintest: a third of the logarithm of the least normal number.
__device__ inline real faintest() { return real(sizeof(real) == 4 ? -29.112181583517703 : -236.13213951075468); }

// config.LOG_LIMIT: where a window's logarithms end.
__device__ inline real log_limit() { return 40; }

// Clip the logarithms of the window; fill F_X (N, W) and F_Y (N, H), a warp for every row. All threads must call it; it
// ends with a barrier.
__device__ inline void filterbanks(real* window, real* F_X, real* F_Y, int H, int W, int N)
{
    if (threadIdx.x >= 2 && threadIdx.x < 5) {
        real value = window[threadIdx.x];  // where it is not a number it stays as it is
        window[threadIdx.x] = value > log_limit() ? log_limit() : value < -log_limit() ? -log_limit() : value;
    }
    __syncthreads();
    int lane = threadIdx.x % 32, longest = H > W ? H : W;
    real scale = real(-0.5) * exp(-window[2]);
    for (int row = threadIdx.x / 32; row < 2 * N; row += blockDim.x / 32) {
        int axis = row >= N, i = row - axis * N, A = axis ? H : W;
        real* F = (axis ? F_Y : F_X) + i * A;
        Place place(window, i, A, longest, N, axis);
        real sum = 0;
        for (int a = lane; a < A; a += 32) {
            real offset = real(a + 1) - place.nearest;
            real term = exp(fmax((offset + place.remainder) * offset * scale, faintest())) - exp(faintest());
            term = fmax(term, real(0));  // should the compiler know exp of a constant to other digits
            F[a] = term;
            sum += term;
        }
        sum = warp_sum(sum);  // between 1 and A
        for (int a = lane; a < A; a += 32) F[a] /= sum;  // each thread what it wrote itself
    }
    __syncthreads();
}

// Fill dwindow (5) from the gradients of both filterbanks and of log gamma. Shared memory: three numbers for each of the
// 2N rows. All threads must call it, after a barrier.
__device__ inline void filterbanks_backward(
    const real* window, const real* F_X, const real* F_Y, const real* dF_X, const real* dF_Y, real dlog_gamma,
    real* dwindow, real* shared, int H, int W, int N)
{
    int lane = threadIdx.x % 32, longest = H > W ? H : W;
    real precision = exp(-window[2]), delta = Place::delta(window, longest, N);
    for (int row = threadIdx.x / 32; row < 2 * N; row += blockDim.x / 32) {
        int axis = row >= N, i = row - axis * N, A = axis ? H : W;
        const real *F = (axis ? F_Y : F_X) + i * A, *dF = (axis ? dF_Y : dF_X) + i * A;
        Place place(window, i, A, longest, N, axis);
        real mean = 0, first = 0, second = 0;  // of dF under F; of dlogits times the offset, and times its square
        for (int a = lane; a < A; a += 32) mean += F[a] * dF[a];
        mean = warp_sum(mean);
        for (int a = lane; a < A; a += 32) {
            real offset = real(a + 1) - place.nearest;
            real moment = F[a] * (dF[a] - mean) * offset;
            first += moment;
            second += moment * offset;
        }
        first = warp_sum(first);
        second = warp_sum(second);
        if (lane == 0) {
            real dmu = first * precision;
            shared[3 * row] = dmu * (real(A + 1) / 2);
            shared[3 * row + 1] = (second + first * place.remainder) * (real(0.5) * precision);
            shared[3 * row + 2] = dmu * Place::grid(i, N) * delta;
        }
    }
    __syncthreads();
    if (threadIdx.x < 4) {  // gX: the first N rows; gY: the others; log sigma², log delta: all
        int first = threadIdx.x == 1 ? N : 0, last = threadIdx.x == 0 ? N : 2 * N;
        real sum = 0;
        for (int row = first; row < last; row++) sum += shared[3 * row + (threadIdx.x < 2 ? 0 : threadIdx.x - 1)];
        dwindow[threadIdx.x] = sum;
    }
    if (threadIdx.x == 4) dwindow[4] = dlog_gamma;
    if (threadIdx.x >= 2 && threadIdx.x < 5 && fabs(window[threadIdx.x]) >= log_limit()) dwindow[threadIdx.x] = 0;
}

// Shared memory: where `staged` is 1, N rows of F_X at an odd distance, so that lanes that read one pixel's weights of
// different filters meet no bank twice.
extern "C" __global__ void read_forward(
    const real* images, real* window, real* F_X, real* F_Y, real* columns, real* glimpse, int glimpse_stride,
    int S, int H, int W, int N, int staged)
{
    DYNAMIC_SHARED(real, shared);
    long long image = blockIdx.x;
    images += image * S * H * W;
    window += image * 5;
    F_X += image * N * W;
    F_Y += image * N * H;
    columns += image * S * H * N;
    glimpse += image * glimpse_stride;
    filterbanks(window, F_X, F_Y, H, W, N);
    real* weights = F_X;
    int stride = W;
    if (staged) {
        stride = W | 1;
        for (int k = threadIdx.x; k < N * W; k += blockDim.x) shared[k / W * stride + k % W] = F_X[k];
        weights = shared;
        __syncthreads();
    }
    for (int k = threadIdx.x; k < S * H * N; k += blockDim.x) {  // columns = images F_X^T
        const real *pixels = images + k / N * W, *row = weights + k % N * stride;
        real sum = 0;
        for (int w = 0; w < W; w++) sum += pixels[w] * row[w];
        columns[k] = sum;
    }
    __syncthreads();
    real gamma = exp(window[4]);
    for (int k = threadIdx.x; k < S * N * N; k += blockDim.x) {  // glimpse = gamma F_Y columns
        int s = k / (N * N), i = k / N % N, j = k % N;
        const real* row = F_Y + i * H;
        real sum = 0;
        for (int h = 0; h < H; h++) sum += row[h] * columns[(s * H + h) * N + j];
        glimpse[k] = gamma * sum;
    }
}

// dimages, of the last C of the S channels, may be missing (C = 0). Shared memory: 6N numbers, and one a warp.
extern "C" __global__ void read_backward(
    const real* images, const real* window, const real* F_X, const real* F_Y, const real* columns, const real* glimpse,
    int glimpse_stride, const real* dglimpse, int dglimpse_stride, real* dwindow, real* dF_X, real* dF_Y,
    real* dcolumns, real* dimages, int S, int C, int H, int W, int N)
{
    DYNAMIC_SHARED(real, shared);
    long long image = blockIdx.x;
    images += image * S * H * W;
    window += image * 5;
    F_X += image * N * W;
    F_Y += image * N * H;
    columns += image * S * H * N;
    glimpse += image * glimpse_stride;
    dglimpse += image * dglimpse_stride;
    dwindow += image * 5;
    dF_X += image * N * W;
    dF_Y += image * N * H;
    dcolumns += image * S * H * N;
    dimages += image * C * H * W;
    real gamma = exp(window[4]), dlog_gamma = 0;
    for (int k = threadIdx.x; k < S * N * N; k += blockDim.x) dlog_gamma += dglimpse[k] * glimpse[k];
    dlog_gamma = block_sum(dlog_gamma, shared + 6 * N);
    for (int k = threadIdx.x; k < N * H; k += blockDim.x) {  // dF_Y = Σ_s gamma dglimpse columns^T
        int i = k / H, h = k % H;
        real sum = 0;
        for (int s = 0; s < S; s++)
            for (int j = 0; j < N; j++) sum += dglimpse[(s * N + i) * N + j] * columns[(s * H + h) * N + j];
        dF_Y[k] = gamma * sum;
    }
    for (int k = threadIdx.x; k < S * H * N; k += blockDim.x) {  // dcolumns = F_Y^T gamma dglimpse
        int s = k / (H * N), h = k / N % H, j = k % N;
        real sum = 0;
        for (int i = 0; i < N; i++) sum += F_Y[i * H + h] * dglimpse[(s * N + i) * N + j];
        dcolumns[k] = gamma * sum;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < N * W; k += blockDim.x) {  // dF_X = Σ_s dcolumns^T images
        int i = k / W, w = k % W;
        real sum = 0;
        for (int row = 0; row < S * H; row++) sum += dcolumns[row * N + i] * images[row * W + w];
        dF_X[k] = sum;
    }
    for (int k = threadIdx.x; k < C * H * W; k += blockDim.x) {  // dimages = dcolumns F_X
        const real* row = dcolumns + ((S - C) * H + k / W) * N;
        real sum = 0;
        for (int i = 0; i < N; i++) sum += row[i] * F_X[i * W + k % W];
        dimages[k] = sum;
    }
    __syncthreads();
    filterbanks_backward(window, F_X, F_Y, dF_X, dF_Y, dlog_gamma, dwindow, shared, H, W, N);
}

extern "C" __global__ void write_forward(
    const real* patch, real* window, real* F_X, real* F_Y, real* scaled, real* columns, real* written, int C,
    int H, int W, int N)
{
    long long image = blockIdx.x;
    patch += image * C * N * N;
    window += image * 5;
    F_X += image * N * W;
    F_Y += image * N * H;
    scaled += image * C * N * N;
    columns += image * C * H * N;
    written += image * C * H * W;
    filterbanks(window, F_X, F_Y, H, W, N);
    real shrink = exp(-window[4]);
    for (int k = threadIdx.x; k < C * N * N; k += blockDim.x) scaled[k] = shrink * patch[k];
    __syncthreads();
    for (int k = threadIdx.x; k < C * H * N; k += blockDim.x) {  // columns = F_Y^T scaled
        int c = k / (H * N), h = k / N % H, j = k % N;
        real sum = 0;
        for (int i = 0; i < N; i++) sum += F_Y[i * H + h] * scaled[(c * N + i) * N + j];
        columns[k] = sum;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < C * H * W; k += blockDim.x) {  // written = columns F_X
        const real* row = columns + k / W * N;
        real sum = 0;
        for (int j = 0; j < N; j++) sum += row[j] * F_X[j * W + k % W];
        written[k] = sum;
    }
}

// The patch becomes its gradient. Shared memory: 6N numbers, and one a warp.
extern "C" __global__ void write_backward(
    const real* dwritten, const real* window, const real* F_X, const real* F_Y, const real* scaled, real* patch,
    real* dwindow, real* dF_X, real* dF_Y, real* columns, real* dcolumns, int C, int H, int W, int N)
{
    DYNAMIC_SHARED(real, shared);
    long long image = blockIdx.x;
    dwritten += image * C * H * W;
    window += image * 5;
    F_X += image * N * W;
    F_Y += image * N * H;
    scaled += image * C * N * N;
    patch += image * C * N * N;
    dwindow += image * 5;
    dF_X += image * N * W;
    dF_Y += image * N * H;
    columns += image * C * H * N;
    dcolumns += image * C * H * N;
    for (int k = threadIdx.x; k < C * H * N; k += blockDim.x) {  // columns again; dcolumns = dwritten F_X^T
        int c = k / (H * N), h = k / N % H, j = k % N;
        const real *pixels = dwritten + k / N * W, *row = F_X + j * W;
        real sum = 0, dsum = 0;
        for (int i = 0; i < N; i++) sum += F_Y[i * H + h] * scaled[(c * N + i) * N + j];
        for (int w = 0; w < W; w++) dsum += pixels[w] * row[w];
        columns[k] = sum;
        dcolumns[k] = dsum;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < N * W; k += blockDim.x) {  // dF_X = Σ_c columns^T dwritten
        int j = k / W, w = k % W;
        real sum = 0;
        for (int row = 0; row < C * H; row++) sum += columns[row * N + j] * dwritten[row * W + w];
        dF_X[k] = sum;
    }
    for (int k = threadIdx.x; k < N * H; k += blockDim.x) {  // dF_Y = Σ_c scaled dcolumns^T
        int i = k / H, h = k % H;
        real sum = 0;
        for (int c = 0; c < C; c++)
            for (int j = 0; j < N; j++) sum += scaled[(c * N + i) * N + j] * dcolumns[(c * H + h) * N + j];
        dF_Y[k] = sum;
    }
    real shrink = exp(-window[4]), dlog_gamma = 0;
    for (int k = threadIdx.x; k < C * N * N; k += blockDim.x) {  // dscaled = F_Y dcolumns
        int c = k / (N * N), i = k / N % N, j = k % N;
        const real* row = F_Y + i * H;
        real sum = 0;
        for (int h = 0; h < H; h++) sum += row[h] * dcolumns[(c * H + h) * N + j];
        dlog_gamma -= sum * scaled[k];
        patch[k] = shrink * sum;
    }
    dlog_gamma = block_sum(dlog_gamma, shared + 6 * N);  // its barriers are for dF_X and dF_Y too
    filterbanks_backward(window, F_X, F_Y, dF_X, dF_Y, dlog_gamma, dwindow, shared, H, W, N);
}

// ------------------------------------------------------------------------------------------------ a training step
// What a step leaves for the next lies on the device, in step.py's arrays:
// counts: steps, updates, steps skipped, of these in a row at the end, rows added to the sums
// verdict: 1 for an update and 0 for none, the factor of the gradient, and rate, epsilon and share of Adam

enum { STEPS, UPDATES, SKIPPED, IN_A_ROW, ROWS };

// Philox4x32-10 (Salmon et al. 2011): a block of four random words for every counter and key.
struct Words { unsigned int x, y, z, w; };

__device__ inline Words philox(Words c, unsigned int key0, unsigned int key1)
{
    for (int round = 0; round < 10; round++) {
        unsigned long long even = 0xD2511F53ull * c.x, odd = 0xCD9E8D57ull * c.z;
        Words next = {(unsigned int)(odd >> 32) ^ c.y ^ key0, (unsigned int)odd,
                      (unsigned int)(even >> 32) ^ c.w ^ key1, (unsigned int)even};
        c = next;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return c;
}

// A uniform number above 0, at most 1; two of them make two normal ones (Box and Muller).
__device__ inline real uniform(unsigned int word) { return (real(word) + real(0.5)) * real(2.3283064365386963e-10); }

// Standard normal numbers that are a function of the key, the step and their place; a thread makes four.
extern "C" __global__ void normals(real* out, const long long* counts, unsigned long long key, long long n)
{
    unsigned long long k = thread_index(), step = counts[STEPS];
    if (4 * k >= (unsigned long long)n) return;
    Words counter = {(unsigned int)k, (unsigned int)(k >> 32), (unsigned int)step, (unsigned int)(step >> 32)};
    Words word = philox(counter, (unsigned int)key, (unsigned int)(key >> 32));
    real radius[2] = {sqrt(-2 * log(uniform(word.x))), sqrt(-2 * log(uniform(word.z)))};
    real angle[2] = {2 * uniform(word.y), 2 * uniform(word.w)};  // in half turns
    for (int j = 0; j < 4 && 4 * (long long)k + j < n; j++)
        out[4 * k + j] = radius[j / 2] * (j % 2 ? sinpi(angle[j / 2]) : cospi(angle[j / 2]));
}

// A number for every block: its part of the sum of squares, which float could not hold from 1e38 on. Shared memory: a
// double a warp.
extern "C" __global__ void squares(const real* grads, double* sums, long long n)
{
    DYNAMIC_SHARED(double, shared_double);
    double sum = 0;
    for (long long k = thread_index(); k < n; k += (long long)gridDim.x * blockDim.x)
        sum += double(grads[k]) * double(grads[k]);
    sum = block_sum(sum, shared_double);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// One block decides what becomes of the gradient whose squares add up to `squares` (blocks), and adds its norm and the
// step's numbers, row (length), to `sums`. 1e18 is optim.LARGEST. Shared memory: a double a warp.
extern "C" __global__ void decide(
    const real* row, int length, const double* squares, int blocks, const real* rate, long long* counts, double* sums,
    real* verdict, double beta1, double beta2, double epsilon, double averaging, double clip)
{
    DYNAMIC_SHARED(double, shared_double);
    double sum = 0, strange = 0;  // how many of the row's numbers are not finite
    for (int k = threadIdx.x; k < blocks; k += blockDim.x) sum += squares[k];
    for (int k = threadIdx.x; k < length; k += blockDim.x) strange += !isfinite(row[k]);
    sum = block_sum(sum, shared_double);
    strange = block_sum(strange, shared_double);
    double norm = sqrt(sum);
    bool good = isfinite(norm) && strange == 0 && (clip > 0 && clip < norm ? clip : norm) <= 1e18;
    if (good)
        for (int k = threadIdx.x; k < length; k += blockDim.x) sums[1 + k] += row[k];
    if (threadIdx.x != 0) return;
    counts[STEPS]++;
    verdict[0] = good;
    if (!good) {
        counts[SKIPPED]++;
        counts[IN_A_ROW]++;
        return;
    }
    counts[IN_A_ROW] = 0;
    counts[ROWS]++;
    double n = double(++counts[UPDATES]);
    double correction = sqrt(1 - pow(beta2, n));
    sums[0] += norm;
    verdict[1] = real(clip > 0 && norm > clip ? clip / norm : 1);
    verdict[2] = real(*rate * correction / (1 - pow(beta1, n)));
    verdict[3] = real(epsilon * correction);
    verdict[4] = real(1 - fmin(averaging, n / (n + 10)));
}

// rest1 and rest2 are 1 - beta1 and 1 - beta2, rounded once.
extern "C" __global__ void adam(
    real* params, const real* grads, real* mean, real* square, real* average, const real* verdict, real beta1,
    real rest1, real beta2, real rest2, long long n)
{
    long long k = thread_index();
    if (k >= n || verdict[0] == 0) return;
    real g = verdict[1] * grads[k];
    real m = beta1 * mean[k] + rest1 * g;
    real v = beta2 * square[k] + rest2 * g * g;
    real p = params[k] - verdict[2] * m / (sqrt(v) + verdict[3]);
    mean[k] = m;
    square[k] = v;
    params[k] = p;
    average[k] += verdict[4] * (p - average[k]);
}

// Set a number on the device without making it wait.
extern "C" __global__ void set(real* number, real value)
{
    if (thread_index() == 0) *number = value;
}
